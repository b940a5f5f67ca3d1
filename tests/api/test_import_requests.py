"""``POST /v2/images/{id}/import``: what is accepted and refused, in which order (imports-and-stores 1.2, 2.3 to 2.5).

The jobs that the requests record are not run here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from glimpse.api.v2.image_import import LONGEST
from glimpse.context import Context
from glimpse.db.records import Viewer
from glimpse.db.sql.tables import task_info, tasks
from glimpse.domain.clock import now
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.job import Job, JobChange, JobQuery, JobStatus
from glimpse.domain.job_kinds import STAGING, ImageImportInput, NoInput, input_of
from glimpse.domain.status import Status
from glimpse.settings.model import Imports, PolicySettings, Stores, StoreSettings, UriFilter
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.http import HttpOptions
from glimpse.stores.memory import MemoryOptions
from tests.support.web_server import INWARD
from tests.support.wire import ADMIN, OTHER, READER, Answer, Wire, settings_in, wired

LOCK = "os_glance_import_task"
IMPORTING, FAILED = "os_glance_importing_to_stores", "os_glance_failed_import"
ALL = ("glance-direct", "web-download", "copy-image")
#: An address, so that nothing is resolved; no test connects to it.
URI = "https://203.0.113.5/image"
WEB = {"method": {"name": "web-download", "uri": URI}}
DIRECT = {"method": {"name": "glance-direct"}}
EVERYBODY = Viewer(None, is_admin=True)
COPY = {"method": {"name": "copy-image"}}


def several(directory: Path) -> Stores:
    """``b`` is the default; ``web`` is only read."""
    options = FilesystemOptions(filesystem_store_datadir=str(directory / "b"))
    return Stores(
        default="b",
        named=True,
        stores=(
            StoreSettings(id="c", kind="memory", options=MemoryOptions()),
            StoreSettings(id="web", kind="http", options=HttpOptions()),
            StoreSettings(id="b", kind="file", options=options),
            StoreSettings(id="a", kind="memory", options=MemoryOptions()),
        ),
    )


@contextmanager
def service(directory: Path, *, stores: Stores | None = None, **parts: Any) -> Iterator[Wire]:
    chosen = {} if stores is None else {"stores": stores}
    with wired(settings_in(directory, **chosen, **parts)) as made:
        yield made


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with service(tmp_path, stores=several(tmp_path)) as made:
        yield made


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Wire]:
    with service(tmp_path) as made:
        yield made


def post(wire: Wire, image_id: str, body: object = WEB, **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return wire("POST", f"/v2/images/{image_id}/import", json_body=body, headers=fields)


def message_of(answer: Answer) -> str:
    return answer.body.decode()


def jobs(wire: Wire) -> list[Job]:
    return wire.service.deps.database.list_jobs(JobQuery(types=("api_image_import",)))


def targets(wire: Wire) -> tuple[str, ...]:
    [job] = jobs(wire)
    given: ImageImportInput = input_of(job)
    return given.stores


def show(wire: Wire, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = wire("GET", f"/v2/images/{image_id}").json
    return shown


def change(wire: Wire, image_id: str, **fields: Any) -> None:
    wire.service.deps.database.update_image(image_id, ImageChange(**fields))


def staged(wire: Wire, **attributes: object) -> str:
    image_id: str = wire.create(**attributes)["id"]
    change(wire, image_id, columns={"status": Status.UPLOADING})
    writer = wire.service.deps.staging.writer(image_id, "attempt")
    writer.write(b"data")
    writer.commit()
    return image_id


def uploaded(wire: Wire, store_id: str | None = "b", **attributes: object) -> str:
    image_id: str = wire.create(**attributes)["id"]
    headers = {} if store_id is None else {"X-Image-Meta-Store": store_id}
    assert wire.upload(image_id, b"data", headers).status == 204
    return image_id


class TestAccepted:
    def test_web_download(self, wire: Wire) -> None:
        image_id = wire.create()["id"]
        body = {**WEB, "stores": ["c", "b", "c"], "all_stores_must_succeed": False, "more": {"x": [1]}}
        answer = post(wire, image_id, body)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (202, b"", "0")
        [job] = jobs(wire)
        assert (job.type, job.status, job.image_id) == ("api_image_import", JobStatus.PENDING, image_id)
        assert (job.owner, job.user_id, job.request_id) == ("p1", "u1", answer.headers["x-openstack-request-id"])
        assert job.stores == ("c", "b"), "only a process with these stores can do it"
        given: ImageImportInput = input_of(job)
        assert (given.image_id, given.stores) == (image_id, ("c", "b"))
        assert msgspec.json.decode(given.request) == body
        shown = show(wire, image_id)
        assert (shown["status"], shown[LOCK]) == ("queued", job.id)
        assert IMPORTING not in shown, "the lists begin with the job, not with the request"

    def test_glance_direct(self, wire: Wire) -> None:
        image_id = staged(wire)
        # gophercloud sends this with every method
        assert post(wire, image_id, {"method": {"name": "glance-direct", "uri": ""}}).status == 202
        assert targets(wire) == ("b",)
        assert show(wire, image_id)["status"] == "uploading"

    def test_copy_image(self, wire: Wire) -> None:
        image_id = uploaded(wire)
        assert post(wire.as_(ADMIN), image_id, {**COPY, "stores": ["a"]}).status == 202
        shown = show(wire, image_id)
        assert (shown["status"], shown["stores"], shown[LOCK]) == ("active", "b", jobs(wire)[0].id)

    def test_the_type_of_the_body_does_not_matter(self, wire: Wire) -> None:
        assert post(wire, wire.create()["id"], content_type="text/plain").status == 202

    def test_one_store_that_has_no_name(self, single: Wire) -> None:
        """What names stores is ignored, also values that are refused with several stores; tempest sends ``all_stores``
        and the openstack command ``all_stores_must_succeed`` to every service.
        """
        body = {**WEB, "all_stores": True, "all_stores_must_succeed": False, "stores": ["nowhere"]}
        assert post(single, single.create()["id"], body, x_image_meta_store="nothing").status == 202
        assert targets(single) == ("default",)
        assert post(single, single.create()["id"], {**WEB, "stores": []}).status == 202


class TestTask:
    def test_as_the_image_shows_it(self, wire: Wire) -> None:
        image_id = wire.create()["id"]
        asked = {"uri": "https://203.0.113.5/a?token=x", "checksum_uri": "https://203.0.113.5/b?token=x"}
        body = {"method": {"name": "web-download", **asked}, "more": 1}
        answer = post(wire, image_id, body)
        assert answer.status == 202
        [task] = wire("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        assert (task["id"], task["type"], task["status"]) == (
            show(wire, image_id)[LOCK],
            "api_image_import",
            "pending",
        )
        assert task["request_id"] == answer.headers["x-openstack-request-id"]
        masked = {"uri": "https://203.0.113.5/a?token=***", "checksum_uri": "https://203.0.113.5/b?token=***"}
        method = {"name": "web-download", **masked}
        assert task["input"] == {"image_id": image_id, "import_req": {**body, "method": method}, "backend": ["b"]}
        [unmasked] = wire.as_(ADMIN)("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        assert unmasked["input"]["import_req"] == body

    def test_a_store_without_a_name(self, single: Wire) -> None:
        image_id = single.create()["id"]
        assert post(single, image_id).status == 202
        [task] = single("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        assert task["input"]["backend"] == [None]


class TestBody:
    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"[]", b'"x"', b"null", b"{}", b'{"method": "web-download"}', b'{"method": []}',
            b'{"method": {}}', b'{"method": {"name": 1}}', b'{"method": {"name": ""}}',
            b'{"method": {"name": "web-upload"}}', b'{"method": {"name": "glance-download"}}',
            b'{"method": {"name": "glance-direct"}, "all_stores": "true"}',
            b'{"method": {"name": "glance-direct"}, "all_stores": null}',
            b'{"method": {"name": "glance-direct"}, "all_stores_must_succeed": 0}',
            b'{"method": {"name": "glance-direct"}, "stores": "a"}',
            b'{"method": {"name": "glance-direct"}, "stores": [1]}',
            b'{"method": {"name": "web-download", "uri": 1}}',
        ],
    )  # fmt: skip
    def test_what_is_no_import(self, wire: Wire, body: bytes) -> None:
        """It is refused before the image is looked up."""
        assert wire("POST", "/v2/images/nothing/import", body).status == 400

    def test_a_body_is_not_endless(self, wire: Wire) -> None:
        """Each task keeps its own."""
        image_id = wire.create()["id"]
        body = json.dumps({**WEB, "x": ""}).encode()
        longest = body[:-2] + b"x" * (LONGEST - len(body)) + body[-2:]
        longer = body[:-2] + b"x" * (LONGEST - len(body) + 1) + body[-2:]
        assert wire("POST", f"/v2/images/{image_id}/import", longer).status == 413
        assert wire("POST", f"/v2/images/{image_id}/import", longest).status == 202

    def test_no_other_method(self, wire: Wire) -> None:
        answer = wire("GET", "/v2/images/nothing/import")
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


class TestImage:
    def test_who_does_not_see_it(self, wire: Wire) -> None:
        assert post(wire, "4bb2b1f2-1b5c-4d0c-9b7a-0c8f1a0f6f6e").status == 404
        private = wire.create(visibility="private")["id"]
        assert post(wire.as_(OTHER), private).status == 404

    def test_who_may_not_change_it(self, wire: Wire) -> None:
        public = wire.as_(ADMIN).create(visibility="public")["id"]
        assert post(wire, public).status == 403
        assert post(wire.as_(READER), wire.create()["id"]).status == 403
        assert post(wire, uploaded(wire), {**COPY, "stores": ["a"]}).status == 403
        assert jobs(wire) == []

    def test_an_operator_lets_owners_copy(self, tmp_path: Path) -> None:
        file = tmp_path / "policy.yaml"
        file.write_text('"copy_image": "project_id:%(project_id)s"\n"get_image": "role:member"\n')
        policy = PolicySettings(policy_file=str(file))
        with service(tmp_path, stores=several(tmp_path), policy=policy) as wire:
            public = uploaded(wire.as_(ADMIN), visibility="public")
            assert post(wire, public, {**COPY, "stores": ["a"]}).status == 403
            assert post(wire, uploaded(wire), {**COPY, "stores": ["a"]}).status == 202
            # not even that it is active
            assert post(wire.as_(READER), public).status == 404

    @pytest.mark.parametrize(
        ("body", "statuses"),
        [
            (WEB, ("uploading", "importing", "active", "saving", "deactivated")),
            (DIRECT, ("queued", "importing", "active", "saving", "deactivated")),
            (COPY, ("queued", "uploading", "importing", "saving", "deactivated")),
        ],
    )
    def test_its_status(self, wire: Wire, body: dict[str, Any], statuses: tuple[str, ...]) -> None:
        image_id = wire.create()["id"]
        for status in statuses:
            change(wire, image_id, columns={"status": Status(status)})
            # the status is looked at before the right to change it, the stores and the URI
            answer = post(wire, image_id, {**body, "stores": ["nowhere"]})
            assert answer.status == 409
            assert status in message_of(answer)
        assert jobs(wire) == []

    def test_its_formats(self, wire: Wire) -> None:
        cases: tuple[tuple[dict[str, str], str], ...] = (
            ({"disk_format": "raw"}, "container_format"),
            ({"container_format": "bare"}, "disk_format"),
            ({}, "container_format"),
        )
        for given, missing in cases:
            image_id = wire("POST", "/v2/images", json_body=given).json["id"]
            answer = post(wire, image_id, {**WEB, "stores": []})
            assert (answer.status, missing in message_of(answer)) == (409, True)


class TestStores:
    def test_nothing_given(self, wire: Wire) -> None:
        assert post(wire, wire.create()["id"]).status == 202
        assert targets(wire) == ("b",)

    def test_in_the_header(self, wire: Wire) -> None:
        assert post(wire, wire.create()["id"], x_image_meta_store="a").status == 202
        assert targets(wire) == ("a",)

    def test_the_same_store_in_body_and_header(self, wire: Wire) -> None:
        answer = post(wire, wire.create()["id"], {**WEB, "stores": ["a"]}, x_image_meta_store="a")
        assert (answer.status, targets(wire)) == (202, ("a",))

    def test_all_stores(self, wire: Wire) -> None:
        assert post(wire, wire.create()["id"], {**WEB, "all_stores": True}).status == 202
        assert targets(wire) == ("c", "b", "a"), "the order of the configuration, without what is only read"

    @pytest.mark.parametrize(
        ("more", "header", "status", "message"),
        [
            ({"all_stores": True, "stores": ["a"]}, None, 400, "cannot be combined"),
            ({"all_stores": True, "stores": []}, None, 400, "cannot be combined"),
            ({"all_stores": True}, "nowhere", 400, "cannot be combined"),
            ({"stores": ["nowhere"]}, "a", 400, "not in both"),
            ({"stores": ["a", "b"]}, "a", 400, "not in both"),
            ({"stores": []}, None, 400, "at least one store"),
            ({"stores": ["a", "nowhere", "web"]}, None, 409, "no store 'nowhere'"),
            ({}, "nowhere", 409, "no store 'nowhere'"),
            ({"stores": ["os_glance_staging_store"]}, None, 409, "no store"),
            ({}, "os_glance_tasks_store", 409, "no store"),
            ({"stores": ["a", "web"]}, None, 400, "'web' is read-only"),
            ({}, "web", 400, "'web' is read-only"),
        ],
    )
    def test_refused(self, wire: Wire, more: dict[str, Any], header: str | None, status: int, message: str) -> None:
        image_id = wire.create()["id"]
        headers = {} if header is None else {"x_image_meta_store": header}
        # before the URI is looked at
        answer = post(wire, image_id, {"method": {"name": "web-download"}, **more}, **headers)
        assert answer.status == status
        assert message in message_of(answer)
        assert (jobs(wire), LOCK in show(wire, image_id)) == ([], False)

    def test_all_are_read_only(self, tmp_path: Path) -> None:
        web = StoreSettings(id="web", kind="http", options=HttpOptions())
        with service(tmp_path, stores=Stores(default="web", named=True, stores=(web,))) as wire:
            for more in ({}, {"all_stores": True}):
                answer = post(wire, wire.create()["id"], {**WEB, **more})
                assert (answer.status, "read-only" in message_of(answer)) == (400, True)


class TestStagedData:
    def test_there_are_none(self, wire: Wire) -> None:
        image_id = staged(wire)
        wire.service.deps.staging.remove(image_id)
        answer = post(wire, image_id, DIRECT)
        assert (answer.status, "No data are staged" in message_of(answer)) == (409, True)
        assert jobs(wire) == []

    def test_they_are_still_arriving(self, wire: Wire) -> None:
        """Also when an earlier attempt left data."""
        image_id = staged(wire)
        deps = wire.service.deps
        stage = deps.jobs.draft(Context(request_id="req-1"), STAGING, NoInput(), image_id=image_id)
        deps.database.add_job(stage)
        answer = post(wire, image_id, DIRECT)
        assert (answer.status, "still being staged" in message_of(answer)) == (409, True)
        deps.database.cancel_job(stage.id)
        assert post(wire, image_id, DIRECT).status == 202


class TestCopies:
    def test_stores_that_have_it(self, wire: Wire) -> None:
        admin = wire.as_(ADMIN)
        image_id = uploaded(wire)
        for more in ({}, {"stores": ["a", "b"]}):
            answer = post(admin, image_id, {**COPY, **more})
            assert (answer.status, "already in the store 'b'" in message_of(answer)) == (400, True)
        assert post(admin, image_id, COPY, x_image_meta_store="b").status == 400
        assert post(admin, image_id, {**COPY, "all_stores": True}).status == 202
        assert targets(wire) == ("c", "a")

    def test_nothing_is_left_to_copy(self, wire: Wire) -> None:
        image_id = uploaded(wire)
        for store_id in ("a", "c"):
            writer = wire.service.deps.stores.by_id(store_id).writer(image_id, 4, "copy")
            writer.write(b"data")
            copy = Location(url=writer.commit().url, metadata={"store": store_id})
            change(wire, image_id, add_locations=(copy,))
        before = show(wire, image_id)
        answer = post(wire.as_(ADMIN), image_id, {**COPY, "all_stores": True})
        assert (answer.status, answer.body) == (202, b"")
        assert (jobs(wire), show(wire, image_id)) == ([], before)

    def test_locations_that_name_no_store(self, wire: Wire) -> None:
        """The store of the URI has it; the default store if no store is known to."""
        admin = wire.as_(ADMIN)
        image_id = uploaded(wire, "a")
        [location] = wire.service.deps.database.get_image(image_id, EVERYBODY).locations
        change(wire, image_id, relabel_locations=(msgspec.structs.replace(location, metadata={}),))
        assert post(admin, image_id, {**COPY, "stores": ["a"]}).status == 400

        lost = wire.create()["id"]
        elsewhere = Location(url="rbd://fsid/pool/image/snap", metadata={})
        change(wire, lost, columns={"status": Status.ACTIVE}, add_locations=(elsewhere,))
        assert post(admin, lost, {**COPY, "stores": ["b"]}).status == 400
        assert post(admin, lost, {**COPY, "stores": ["a"]}).status == 202

    def test_a_service_with_one_store(self, single: Wire) -> None:
        answer = post(single.as_(ADMIN), uploaded(single, None), {**COPY, "all_stores": True})
        assert (answer.status, "needs several stores" in message_of(answer)) == (400, True)


class TestUri:
    @pytest.mark.parametrize(
        "uri",
        [
            None, "", "nothing", "/etc/passwd", "http://203.0.113.5:22/", "http://203.0.113.5/\n", *INWARD,
        ],
    )  # fmt: skip
    def test_refused(self, wire: Wire, uri: str | None) -> None:
        image_id = wire.create()["id"]
        assert post(wire, image_id, {"method": {"name": "web-download", "uri": uri}}).status == 400
        if uri:
            method = {**WEB["method"], "checksum_uri": uri}
            assert post(wire, image_id, {"method": method}).status == 400
        assert (jobs(wire), LOCK in show(wire, image_id)) == ([], False)

    def test_a_name_that_leads_inward(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hosts = tmp_path / "hosts"
        hosts.write_text("127.0.0.1 inward.example.org\n203.0.113.5 outward.example.org\n")
        monkeypatch.setattr("glimpse.fetch.address.HOSTS_FILE", hosts)
        with service(tmp_path) as wire:
            for host, status in (("inward", 400), ("outward", 202)):
                body = {"method": {"name": "web-download", "uri": f"https://{host}.example.org/"}}
                assert post(wire, wire.create()["id"], body).status == status

    def test_the_rules_of_the_operator(self, tmp_path: Path) -> None:
        with service(tmp_path, uri_filter=UriFilter(allowed_hosts=("mirror.example.org", "203.0.113.5"))) as wire:
            assert post(wire, wire.create()["id"]).status == 202
            elsewhere = {"method": {"name": "web-download", "uri": "https://203.0.113.6/"}}
            assert post(wire, wire.create()["id"], elsewhere).status == 400


class TestLock:
    def test_one_import_at_a_time(self, wire: Wire) -> None:
        image_id = wire.create()["id"]
        assert post(wire, image_id).status == 202
        # before the stores are looked at
        answer = post(wire, image_id, {**WEB, "stores": ["nowhere"]})
        assert (answer.status, jobs(wire)[0].id in message_of(answer)) == (409, True)
        assert len(jobs(wire)) == 1

    def test_a_location_that_is_being_added(self, wire: Wire) -> None:
        image_id = wire.create()["id"]
        assert wire("POST", f"/v2/images/{image_id}/locations", json_body={"url": URI}).status == 202
        assert post(wire, image_id).status == 409

    def test_a_lost_lock_does_not_let_two_in(self, wire: Wire) -> None:
        """Whoever is slower finds the key of the faster one's job."""
        image_id = wire.create()["id"]
        assert post(wire, image_id).status == 202
        change(wire, image_id, drop_properties=(LOCK,))
        assert post(wire, image_id).status == 409
        assert (len(jobs(wire)), LOCK in show(wire, image_id)) == (1, False)

    def test_of_an_unknown_holder(self, wire: Wire) -> None:
        image_id = wire.create()["id"]
        change(wire, image_id, set_properties={LOCK: "4bb2b1f2-1b5c-4d0c-9b7a-0c8f1a0f6f6e"})
        assert post(wire, image_id).status == 202
        assert show(wire, image_id)[LOCK] == jobs(wire)[0].id

    @pytest.mark.parametrize(
        ("status", "minutes", "expected"),
        [
            ("pending", 119, 409), ("pending", 121, 202), ("processing", 59, 409), ("processing", 61, 202),
            ("success", 0, 202), ("failure", 0, 202),
        ],
    )  # fmt: skip
    def test_of_a_glance(self, wire: Wire, status: str, minutes: int, expected: int) -> None:
        """A Glance on the same database renews its tasks while they run. Adding a location is no different."""
        saved = now() - timedelta(minutes=minutes)
        for path, body in (("import", WEB), ("locations", {"url": URI})):
            image_id = wire.create()["id"]
            holder = str(uuid.uuid4())
            change(wire, image_id, set_properties={LOCK: holder, IMPORTING: "a,b", FAILED: ""})
            values = {
                "id": holder, "type": "api_image_import", "status": status, "owner": "p1", "expires_at": None,
                "created_at": saved, "updated_at": saved, "deleted": False, "image_id": image_id,
            }  # fmt: skip
            given = {"image_id": image_id, "import_req": DIRECT, "backend": ["b"]}
            with wire.rows() as rows:
                rows.execute(sa.insert(tasks).values(values))
                rows.execute(sa.insert(task_info).values(task_id=holder, input=json.dumps(given), message=""))
            assert wire("POST", f"/v2/images/{image_id}/{path}", json_body=body).status == expected
            shown = show(wire, image_id)
            assert (shown[LOCK] == holder) == (expected == 409)
            assert shown[IMPORTING] == ("a,b" if expected == 409 else "a")

    def test_of_an_ended_holder(self, wire: Wire) -> None:
        """It loses the stores of its import from both lists."""
        image_id = wire.create()["id"]
        assert post(wire, image_id, {**WEB, "stores": ["a", "c"]}).status == 202
        [ended] = jobs(wire)
        database = wire.service.deps.database
        claimed = database.claim_job(ended, "worker-1", 30.0)
        assert claimed is not None
        database.save_job(claimed, JobChange(status=JobStatus.FAILED))
        change(wire, image_id, set_properties={IMPORTING: "a,b", FAILED: "c"})
        assert show(wire, image_id)[LOCK] == ended.id
        assert post(wire, image_id).status == 202
        shown = show(wire, image_id)
        assert (shown[IMPORTING], shown[FAILED]) == ("b", "")
        assert shown[LOCK] in {job.id for job in jobs(wire)} - {ended.id}


class TestMethods:
    def value(self, wire: Wire) -> list[str]:
        methods: list[str] = wire("GET", "/v2/info/import").json["import-methods"]["value"]
        created = wire("POST", "/v2/images", json_body={}).headers
        assert created.get("openstack-image-import-methods", "") == ",".join(methods)
        assert ("openstack-image-import-methods" in created) == bool(methods)
        return methods

    def test_with_several_stores(self, wire: Wire) -> None:
        assert self.value(wire) == list(ALL)

    def test_with_one_store_nothing_can_be_copied(self, single: Wire) -> None:
        assert self.value(single) == ["glance-direct", "web-download"]

    def test_the_configured_ones(self, tmp_path: Path) -> None:
        configured = Imports(enabled_import_methods=("copy-image", "web-download", "copy-image"))
        with service(tmp_path, stores=several(tmp_path), imports=configured) as wire:
            assert self.value(wire) == ["copy-image", "web-download"]
            answer = post(wire, staged(wire), DIRECT)
            assert (answer.status, "not enabled" in message_of(answer)) == (400, True)

    def test_none(self, tmp_path: Path) -> None:
        with service(tmp_path, imports=Imports(enabled_import_methods=())) as wire:
            assert self.value(wire) == []
            assert post(wire, wire.create()["id"]).status == 400
