"""Real API nodes with a real registry: uploads, lists, downloads, and registries that are killed."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.support.footprint import eventually
from tests.support.images import noise
from tests.support.private_ca import unwanted
from tests.support.raw_http import Api
from tests.support.registry_service import RegistryService
from tests.support.service import Service, run_to_the_end

DATA = noise(3_000_000, "through the registry")
RETRIES = 30.0


def test_a_node_serves_images_through_a_registry_that_dies_and_comes_back(tmp_path: Path) -> None:
    with ExitStack() as stack:
        registry = stack.enter_context(RegistryService(tmp_path / "registry"))
        node = stack.enter_context(Service(tmp_path / "node", options=registry.node_options()))
        api = Api(node.port)
        image_id = api.new(name="first", tags=["kept"], os_distro="debian")
        assert api.upload(image_id, DATA).status == 204
        assert [image["name"] for image in api.call("GET", "/v2/images").json["images"]] == ["first"]
        assert api.download(image_id).body == DATA
        assert not node.database_file.exists()
        assert registry.database_file.exists()

        registry.kill_group()
        for method, path, body in (("GET", "/v2/images", None), ("POST", "/v2/images", b"{}")):
            answer = api.call(method, path, body, {"Accept": "application/json"})
            assert answer.status == 503, answer
            assert "registry" in answer.text
        assert node.answers()

        registry.start()
        assert eventually(lambda: api.call("GET", "/v2/images").status == 200, RETRIES)
        assert api.show(image_id)["status"] == "active"
        assert api.upload(api.new(name="second"), DATA).status == 204
        assert api.download(image_id).body == DATA
        assert api.call("DELETE", f"/v2/images/{image_id}").status == 204


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_a_call_that_dies_with_its_registry_leaves_the_image_usable(tmp_path: Path) -> None:
    options = {"lease_time": 4, "lease_heartbeat": 0.5}
    with RegistryService(tmp_path / "registry") as registry:
        node_options = registry.node_options()
        node_options["glimpse"].update(options)
        with Service(tmp_path / "node", options=node_options) as node:
            api = Api(node.port)
            for round_number in range(5):
                image_id = api.new(name=f"round {round_number}")
                killer = threading.Timer(0.02 * round_number, registry.kill_group)
                killer.start()
                first = api.upload(image_id, DATA).status
                killer.join()
                assert first in {204, 503}
                registry.start()
                # uploaded after all, or given back within the time of the lease
                assert eventually(partial(is_settled, api, image_id), RETRIES)
                if api.show(image_id)["status"] == "queued":
                    assert api.upload(image_id, DATA).status == 204
                assert api.download(image_id).body == DATA


def is_settled(api: Api, image_id: str) -> bool:
    answer = api.call("GET", f"/v2/images/{image_id}")
    return answer.status == 200 and answer.json["status"] in {"active", "queued"}


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_with_two_registries_the_death_of_one_is_not_noticed(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(RegistryService(tmp_path / "first"))
        second = stack.enter_context(RegistryService(tmp_path / "second", ca=first.ca, data_dir=first.data_dir))
        node = stack.enter_context(Service(tmp_path / "node", options=first.node_options("node", second)))
        api = Api(node.port)
        image_id = api.new(name="shared")
        assert api.upload(image_id, DATA).status == 204
        for victim in (first, second):
            victim.kill_group()
            for number in range(20):
                assert api.call("GET", "/v2/images").status == 200
                assert api.call("GET", f"/v2/images/{image_id}").status == 200
                # a write goes to the other one when the connection is known to be gone
                api.new(name=f"{victim.place.name} {number}")
            assert api.download(image_id).body == DATA
            victim.start()
        assert len(api.call("GET", "/v2/images?limit=100").json["images"]) == 41


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_registries_that_are_replaced_one_by_one_interrupt_nobody(tmp_path: Path) -> None:
    """SIGTERM, as an upgrade does it: what runs ends, what comes goes to the other one."""
    with ExitStack() as stack:
        first = stack.enter_context(RegistryService(tmp_path / "first"))
        second = stack.enter_context(RegistryService(tmp_path / "second", ca=first.ca, data_dir=first.data_dir))
        node = stack.enter_context(Service(tmp_path / "node", options=first.node_options("node", second)))
        failures: list[tuple[str, int]] = []
        ended = threading.Event()

        def work() -> None:
            api = Api(node.port)
            while not ended.is_set():
                for method, path, body in (("GET", "/v2/images?limit=1", None), ("POST", "/v2/images", b"{}")):
                    found = api.call(method, path, body, {"Content-Type": "application/json"}).status
                    if found not in {200, 201}:
                        failures.append((method, found))

        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        try:
            for registry in (first, second, first):
                registry.signal(signal.SIGTERM)
                registry.wait()
                registry.start()
        finally:
            ended.set()
            for worker in workers:
                worker.join()
        assert failures == []


def test_a_node_whose_certificate_is_refused_does_not_start_and_says_why(tmp_path: Path) -> None:
    with RegistryService(tmp_path / "registry") as registry:
        unwanted(registry.ca, "expired")
        options = registry.node_options("expired")
        node = Service(tmp_path / "node", options=options)
        ended = run_to_the_end(node.command[1:])
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "does not accept this node's certificate" in ended.stderr


#: As the API says it without a registry too (docs/operator/database.md).
REFUSES = "The database accepts no changes at the moment; reads still work."


def test_a_file_that_cannot_be_written_is_told_as_without_a_registry(tmp_path: Path) -> None:
    stores = {"glance_store": {"stores": "file", "filesystem_store_datadir": tmp_path / "images"}}
    with Service(tmp_path / "writer", options=stores) as writer:
        api = Api(writer.port)
        stored, queued = api.new(name="stored"), api.new(name="queued")
        assert api.upload(stored, DATA).status == 204
    database = {"database": {"connection": f"sqlite:///file:{writer.database_file}?mode=ro&uri=true"}}
    with (
        RegistryService(tmp_path / "registry", options=database) as registry,
        Service(tmp_path / "node", options={**registry.node_options(), **stores}) as node,
        Service(tmp_path / "alone", options={**database, **stores}) as alone,
    ):
        assert refused_and_read(Api(node.port), stored, queued) == refused_and_read(Api(alone.port), stored, queued)
        assert "update_image DatabaseUnavailable" in registry.log


def refused_and_read(api: Api, stored: str, queued: str) -> list[tuple[int, str]]:
    """Statuses and texts of what changes something, all refused; reads go on in between."""
    refused: list[tuple[int, str]] = []
    for change in (
        lambda: api.call("POST", "/v2/images", b"{}"),
        lambda: api.patch(queued, [{"op": "replace", "path": "/name", "value": "new"}]),
        lambda: api.upload(queued, DATA),
        lambda: api.call("PUT", f"/v2/images/{queued}/tags/one"),
        lambda: api.delete(stored),
    ):
        answer = change()
        refused.append((answer.status, answer.text))
        assert api.show(queued)["name"] == "queued"
        assert api.download(stored).body == DATA
        assert len(api.call("GET", "/v2/images").json["images"]) == 2
    assert [status for status, _ in refused] == [503] * len(refused)
    assert all(REFUSES in text for _, text in refused)
    return refused
