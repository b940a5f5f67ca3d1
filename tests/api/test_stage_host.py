"""Staged data on another node: requests are sent on to it, and only it imports them (imports-and-stores 2.14)."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from glimpse.db.records import Viewer
from glimpse.domain.image import ImageChange
from glimpse.domain.job import JobQuery, JobStatus
from glimpse.domain.status import Status
from glimpse.domain.task import WAITS_FOR_NODE
from glimpse.services.stage_forwarding import MARK, Nodes
from glimpse.settings.model import Imports
from glimpse.stores.connections import Limits
from tests.support.imports import MEMBER, three_stores
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.wire import ADMIN, OTHER, Answer, Wire, settings_in, wired

HERE = "http://here.test:9292"
DIRECT = {"method": {"name": "glance-direct"}, "stores": ["a"], "more": 1}
OCTETS = {"Content-Type": "application/octet-stream"}
ANYBODY = Viewer(None, is_admin=True)


class Node:
    """A node that answers every request as told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.status = 202
        self.fields = {"X-OpenStack-Request-Id": "req-of-the-node"}
        self.body = b"the node says"
        #: done before an answer
        self.work: Callable[[], object] = lambda: None
        #: method, path, header fields by lower-case name, body
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                node.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, sent))
                node.work()
                self.send_response(node.status)
                for name, value in node.fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(node.body)))
                self.end_headers()
                self.wfile.write(node.body)

            do_POST = do_DELETE = answer  # noqa: N815 - names of the base class

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node()
    yield made
    made.close()


@contextmanager
def silent_server() -> Generator[str]:
    """The URL of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    imports = Imports(worker_self_reference_url=f"{HERE}/")
    with wired(settings_in(tmp_path, stores=three_stores(tmp_path), imports=imports)) as made:
        yield made


def staged(wire: Wire, host: str | None = None) -> str:
    """An image with staged data, which another node has if ``host`` is given."""
    image_id: str = wire.create()["id"]
    if host is None:
        assert wire("PUT", f"/v2/images/{image_id}/stage", b"data", OCTETS).status == 204
    else:
        change = ImageChange(
            columns={"status": Status.UPLOADING, "size": 4}, set_properties={"os_glance_stage_host": host}
        )
        wire.service.deps.database.update_image(image_id, change)
    return image_id


def stage_host(wire: Wire, image_id: str) -> str | None:
    return wire.service.deps.database.get_image(image_id, ANYBODY).properties.get("os_glance_stage_host")


def post(wire: Wire, image_id: str, body: object = DIRECT, **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return wire("POST", f"/v2/images/{image_id}/import", json_body=body, headers=fields)


def jobs(wire: Wire) -> list[Any]:
    return wire.service.deps.database.list_jobs(JobQuery(types=("api_image_import",)))


class TestStage:
    def test_names_this_node_until_the_import_begins(self, wire: Wire) -> None:
        image_id = staged(wire)
        assert stage_host(wire, image_id) == HERE
        assert "os_glance_stage_host" not in wire("GET", f"/v2/images/{image_id}").json
        assert post(wire, image_id).status == 202
        run_due(wire.service.jobs)
        shown = wire("GET", f"/v2/images/{image_id}").json
        assert (shown["status"], shown["stores"], stage_host(wire, image_id)) == ("active", "a", None)

    def test_the_public_endpoint_is_the_name_otherwise(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path)) as wire:
            assert stage_host(wire, staged(wire)) is None
        settings = settings_in(tmp_path)
        with wired(settings.__replace__(api=settings.api.__replace__(public_endpoint="https://images.test/"))) as wire:
            assert stage_host(wire, staged(wire)) == "https://images.test"

    def test_a_name_that_was_left(self, wire: Wire, node: Node) -> None:
        image_id: str = wire.create()["id"]
        change = ImageChange(set_properties={"os_glance_stage_host": node.url})
        wire.service.deps.database.update_image(image_id, change)
        assert wire("PUT", f"/v2/images/{image_id}/stage", b"data", OCTETS, cut=True).status == 400
        assert stage_host(wire, image_id) is None
        assert wire("PUT", f"/v2/images/{image_id}/stage", b"data", OCTETS).status == 204
        assert stage_host(wire, image_id) == HERE


class TestImport:
    def test_is_sent_on(self, wire: Wire, node: Node) -> None:
        image_id = staged(wire, node.url)
        answer = post(wire, image_id, X_Auth_Token="the token", X_Service_Token="another", Cookie="no")
        assert (answer.status, answer.body) == (202, b"the node says")
        assert answer.headers["x-openstack-request-id"] == "req-of-the-node"
        [(method, path, fields, body)] = node.requests
        assert (method, path, json.loads(body)) == ("POST", f"/v2/images/{image_id}/import", DIRECT)
        assert fields["x-auth-token"] == "the token"
        assert (fields["x-project-id"], fields[MARK]) == ("p1", "1")
        assert not {"x-service-token", "cookie", "x-image-meta-store"} & set(fields)
        assert jobs(wire) == []
        assert wire("GET", f"/v2/images/{image_id}").json["status"] == "uploading"

    def test_the_store_of_the_header_goes_along(self, wire: Wire, node: Node) -> None:
        image_id = staged(wire, f"{node.url}/image/")
        post(wire, image_id, {"method": {"name": "glance-direct"}}, X_Image_Meta_Store="b")
        [(_, path, fields, _)] = node.requests
        assert (path, fields["x-image-meta-store"]) == (f"/image/v2/images/{image_id}/import", "b")

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 500, 503])
    def test_refusals_are_passed_on(self, wire: Wire, node: Node, status: int) -> None:
        node.status, node.fields["Content-Type"] = status, "text/html"
        answer = post(wire, staged(wire, node.url))
        assert (answer.status, answer.body, answer.headers["content-type"]) == (status, node.body, "text/html")

    def test_only_what_passes_the_checks_here(self, wire: Wire, node: Node) -> None:
        image_id = staged(wire, node.url)
        assert post(wire.as_(OTHER), image_id).status == 404
        assert post(wire, image_id, {"method": {"name": "glance-direct"}, "stores": ["none"]}).status == 409
        assert post(wire, image_id, {"method": {"name": "copy-image"}, "stores": ["a"]}).status == 409
        assert node.requests == []

    def test_redirects_are_not_followed(self, wire: Wire, node: Node) -> None:
        other = Node()
        node.status, node.fields["Location"] = 307, other.url
        answer = post(wire, staged(wire, node.url))
        assert (answer.status, other.requests) == (502, [])
        other.close()

    def test_a_proxy_whose_node_is_down(self, wire: Wire, node: Node) -> None:
        node.status = 503
        node.fields.clear()
        assert post(wire, staged(wire, node.url)).status == 502

    def test_a_long_answer(self, wire: Wire, node: Node) -> None:
        node.body = bytes(100_000)
        assert post(wire, staged(wire, node.url)).status == 502

    @pytest.mark.parametrize("url", ["ftp://host/", "http://", "http://u:p@127.0.0.1:1", "http://h:99999", "nonsense"])
    def test_a_url_that_is_none(self, wire: Wire, url: str) -> None:
        image_id = staged(wire, url)
        answer = post(wire, image_id)
        assert answer.status == 502
        assert url.encode() not in answer.body
        assert wire("DELETE", f"/v2/images/{image_id}").status == 204

    def test_nobody_listens(self, wire: Wire, node: Node) -> None:
        node.close()
        image_id = staged(wire, node.url)
        answer = post(wire, image_id)
        assert (answer.status, node.url.encode() in answer.body) == (504, False)
        assert wire("GET", f"/v2/images/{image_id}").json["status"] == "uploading"

    def test_no_answer(self, wire: Wire) -> None:
        limits = Limits(connect=1, silence=0.3, answer=0.3)
        with silent_server() as url:
            object.__setattr__(wire.service.deps, "nodes", Nodes(HERE, at_once=1, limits=limits))
            assert post(wire, staged(wire, url)).status == 504

    def test_few_wait_at_the_same_time(self, wire: Wire, node: Node) -> None:
        object.__setattr__(wire.service.deps, "nodes", Nodes(HERE, at_once=0))
        answer = post(wire, staged(wire, node.url))
        assert (answer.status, answer.headers["retry-after"], node.requests) == (503, "5", [])

    def test_a_loop_ends(self, wire: Wire, node: Node) -> None:
        image_id = staged(wire, node.url)
        answer = post(wire, image_id, **{MARK: "1"})
        assert answer.status == 409
        assert b"worker_self_reference_url" in answer.body
        assert node.requests == []

    def test_other_methods_are_done_here(self, wire: Wire, node: Node) -> None:
        image_id: str = wire.create()["id"]
        change = ImageChange(set_properties={"os_glance_stage_host": node.url})
        wire.service.deps.database.update_image(image_id, change)
        body = {"method": {"name": "web-download", "uri": "https://203.0.113.5/image"}}
        assert post(wire, image_id, body).status == 202
        assert node.requests == []


class TestDeletion:
    def test_is_sent_on(self, wire: Wire, node: Node) -> None:
        node.status, node.body = 204, b""
        image_id = staged(wire, node.url)
        answer = wire("DELETE", f"/v2/images/{image_id}")
        assert (answer.status, answer.body, answer.headers["x-openstack-request-id"]) == (204, b"", "req-of-the-node")
        assert [request[:2] for request in node.requests] == [("DELETE", f"/v2/images/{image_id}")]
        # the node has done it, or would have: nothing is done here
        assert wire("GET", f"/v2/images/{image_id}").status == 200

    def test_a_refusal_is_passed_on(self, wire: Wire, node: Node) -> None:
        node.status = 403
        image_id = staged(wire, node.url)
        assert wire("DELETE", f"/v2/images/{image_id}").status == 403
        assert wire("GET", f"/v2/images/{image_id}").status == 200

    def test_an_image_that_glance_hashes(self, wire: Wire, node: Node) -> None:
        node.status, node.body = 204, b""
        image_id: str = wire.create()["id"]
        change = ImageChange(set_properties={"os_glance_hash_op_host": node.url})
        wire.service.deps.database.update_image(image_id, change)
        assert wire("DELETE", f"/v2/images/{image_id}").status == 204
        assert len(node.requests) == 1

    @pytest.mark.parametrize("how", ["down", "proxy", "redirect"])
    def test_goes_on_here_without_the_node(self, wire: Wire, node: Node, how: str) -> None:
        image_id = staged(wire, node.url)
        if how == "down":
            node.close()
        node.status = 302 if how == "redirect" else 502
        node.fields.clear()
        assert wire("DELETE", f"/v2/images/{image_id}").status == 204
        assert wire("GET", f"/v2/images/{image_id}").status == 404

    def test_a_lost_answer(self, wire: Wire, node: Node) -> None:
        image_id = staged(wire, node.url)
        node.status = 502
        node.fields.clear()
        node.work = lambda: wire.service.deps.database.delete_without_data(image_id)
        assert wire("DELETE", f"/v2/images/{image_id}").status == 204

    def test_one_that_was_sent_on_is_done_here(self, wire: Wire, node: Node) -> None:
        image_id = staged(wire, node.url)
        assert wire("DELETE", f"/v2/images/{image_id}", headers={MARK: "1"}).status == 204
        assert node.requests == []

    def test_a_protected_image(self, wire: Wire, node: Node) -> None:
        image_id = staged(wire, node.url)
        assert wire.patch(image_id, {"op": "replace", "path": "/protected", "value": True}).status == 200
        assert wire("DELETE", f"/v2/images/{image_id}").status == 403
        assert node.requests == []


class TestJob:
    """Only the node with the data does the job."""

    @pytest.fixture
    def elsewhere(self, tmp_path: Path, wire: Wire) -> Iterator[Wire]:
        """Another node on the same database and stores, whose staging area is its own."""
        imports = Imports(
            worker_self_reference_url="http://elsewhere.test:9292",
            filesystem_store_datadir=str(tmp_path / "staging-elsewhere"),
        )
        with wired(settings_in(tmp_path, stores=three_stores(tmp_path), imports=imports)) as made:
            yield made

    def test_waits_for_its_node_visibly(self, wire: Wire, elsewhere: Wire) -> None:
        image_id = staged(wire)
        assert post(wire, image_id).status == 202
        run_due(elsewhere.service.jobs)
        [job] = jobs(wire)
        assert (job.status, job.attempt, job.stores) == (JobStatus.PENDING, 0, ("a", f"node:{HERE}"))
        [task] = elsewhere("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        assert (task["status"], task["message"]) == ("pending", WAITS_FOR_NODE)
        run_due(wire.service.jobs)
        assert wire("GET", f"/v2/images/{image_id}").json["status"] == "active"
        [task] = elsewhere("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        assert (task["status"], task["message"]) == ("success", "")

    def test_waits_for_a_node_that_died_in_the_middle(self, wire: Wire, elsewhere: Wire) -> None:
        image_id = staged(wire)
        post(wire, image_id)
        [job] = jobs(wire)
        assert wire.service.deps.database.claim_job(job, "a process that died", 60) is not None
        with wire.rows() as connection:
            let_leases_run_out(connection)
        run_due(elsewhere.service.jobs)
        [job] = jobs(wire)
        assert (job.status, job.attempt) == (JobStatus.RUNNING, 1)
        assert job.due_at < time.time()
        run_due(wire.service.jobs)
        assert wire("GET", f"/v2/images/{image_id}").json["status"] == "active"

    @pytest.mark.parametrize("how", ["image", "task"])
    def test_can_be_ended_without_its_node(self, wire: Wire, elsewhere: Wire, how: str) -> None:
        image_id = staged(wire)
        post(wire, image_id)
        [job] = jobs(wire)
        if how == "image":
            assert elsewhere("DELETE", f"/v2/images/{image_id}").status == 204
        else:
            assert elsewhere.as_(ADMIN)("DELETE", f"/v2/tasks/{job.id}").status == 204
        run_due(elsewhere.service.jobs)
        [job] = jobs(wire)
        assert job.status is JobStatus.CANCELLED
        if how == "task":
            shown = wire("GET", f"/v2/images/{image_id}").json
            assert (shown["status"], "os_glance_import_task" in shown) == ("uploading", False)
            assert stage_host(wire, image_id) == HERE
            assert post(wire, image_id).status == 202
            run_due(wire.service.jobs)
            assert wire("GET", f"/v2/images/{image_id}").json["status"] == "active"

    def test_without_a_name_any_node_may_do_it(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path, stores=three_stores(tmp_path))) as wire:
            post(wire, staged(wire))
            [job] = jobs(wire)
            assert job.stores == ("a",)
            assert job.owner == MEMBER.project_id
