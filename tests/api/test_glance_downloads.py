"""Imports of images of another service, which is a Glimpse behind a real HTTP server (imports-and-stores 2.12)."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.domain.job import Job, JobStatus
from glimpse.settings.model import DatabaseSettings, Imports, Limits, Secret, UriFilter
from tests.support.images.content import noise
from tests.support.images.qcow2 import qcow2
from tests.support.imports import files, killed_while_writing, run_imports, three_stores
from tests.support.served_wire import ServedWire, served
from tests.support.wire import MEMBER, OTHER, Answer, Wire, settings_in, wired

DATA = noise(3_500_000)
M, F, LOCK = "os_glance_importing_to_stores", "os_glance_failed_import", "os_glance_import_task"
REASON = "os_glance_failed_upload"
TOKEN = "token-of-the-caller-5f2c"
METHODS = ("web-download", "glance-download")
COPIED = {"hw_vif_model": "virtio", "os_distro": "debian", "trait:HW_CPU_X86_AVX2": "required"}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[ServedWire]:
    """The service of the other region."""
    (tmp_path / "source").mkdir()
    with wired(settings_in(tmp_path / "source")) as wire, served(wire, {TOKEN: MEMBER}) as made:
        yield made


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Wire]:
    """The service of this region."""
    (tmp_path / "target").mkdir()
    settings = settings_in(
        tmp_path / "target",
        stores=three_stores(tmp_path),
        uri_filter=UriFilter(allowed_hosts=("localhost",), allowed_ports=()),
        imports=Imports(enabled_import_methods=METHODS),
        limits=Limits(image_size_cap=10_000_000, image_property_quota=1),
    )
    with wired(settings) as wire:
        yield wire


def catalog(*urls: str, kind: str = "image") -> str:
    """A catalog whose image service has public endpoints at ``urls`` in the regions Two, Three, …"""
    names = ("Two", "Three", "Four")
    endpoints = [
        {"region": name, "publicURL": url, "internalURL": "http://203.0.113.5/"}
        for name, url in zip(names, urls, strict=False)
    ]
    return json.dumps([{"type": kind, "name": "images", "endpoints": endpoints}])


def post(
    wire: Wire, image_id: str, source: ServedWire | str, source_id: str, region: str = "two", **more: object
) -> Answer:
    url = source if isinstance(source, str) else source.url
    method = {"name": "glance-download", "glance_region": region, "glance_image_id": source_id}
    interface = more.pop("glance_service_interface", None)
    body = {"method": method if interface is None else {**method, "glance_service_interface": interface}, **more}
    headers = {"X-Service-Catalog": catalog(url), "X-Auth-Token": TOKEN}
    return wire("POST", f"/v2/images/{image_id}/import", json_body=body, headers=headers)


def finished(wire: Wire, image_id: str, answer: Answer) -> Job:
    assert answer.status == 202, answer
    [task] = wire("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
    return run_imports(wire, wire.service.deps.database.get_job(task["id"]))


def show(wire: Wire, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = wire("GET", f"/v2/images/{image_id}").json
    return shown


def original(source: ServedWire, data: bytes = DATA, **attributes: object) -> str:
    """An active image of the source."""
    image_id: str = source.wire.create(**attributes)["id"]
    assert source.wire.upload(image_id, data).status == 204
    return image_id


def record(source: ServedWire, image_id: str, **changes: object) -> None:
    """Let the source answer with another record."""
    document = {**show(source.wire, image_id), **changes}
    source.overrides[f"/v2/images/{image_id}"] = (
        200, {"Content-Type": "application/json"}, json.dumps(document).encode()
    )  # fmt: skip


def is_as_before(wire: Wire, image_id: str, directory: Path, failed: str = "a") -> bool:
    shown = show(wire, image_id)
    assert (shown["status"], shown["size"], shown["checksum"], shown[M], shown[F]) == ("queued", None, None, "", failed)
    assert (shown["disk_format"], shown["container_format"], shown["hw_own"]) == ("raw", "bare", "mine")
    assert LOCK not in shown
    assert "hw_vif_model" not in shown
    return files(directory, "a", "b", "c") == {"a": [], "b": [], "c": []}


class TestSuccess:
    def test_data_formats_and_properties(self, at: Wire, source: ServedWire, tmp_path: Path) -> None:
        data = qcow2(bytes(65536))
        not_copied = {"os_version": "13", "hw": "no", "img_signature": "x", "owner_note": "y"}
        source_id = original(source, data, disk_format="qcow2", name="source", tags=["t"], **COPIED, **not_copied)
        image_id = at.create(name="target", hw_vif_model="e1000")["id"]
        job = finished(at, image_id, post(at, image_id, source, source_id, stores=["b", "a"]))
        assert (job.status, job.message) == (JobStatus.SUCCEEDED, "")
        shown = show(at, image_id)
        assert (shown["status"], shown["size"], shown["stores"]) == ("active", len(data), "b,a")
        assert (shown["disk_format"], shown["container_format"], shown["virtual_size"]) == ("qcow2", "bare", 65536)
        assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()
        assert {name: shown[name] for name in COPIED} == COPIED
        assert not {*not_copied, REASON, LOCK} & shown.keys()
        assert (shown["name"], shown["tags"], shown[M], shown[F]) == ("target", [], "", "")
        assert at("GET", f"/v2/images/{image_id}/file").body == data
        assert files(tmp_path, "a", "b", "c") == {"a": [image_id], "b": [image_id], "c": []}
        assert [(path, token) for _, path, token, _ in source.requests] == [
            (f"/v2/images/{source_id}", TOKEN), (f"/v2/images/{source_id}/file", TOKEN)
        ]  # fmt: skip

    def test_a_connection_that_breaks_without_entity_tags(self, at: Wire, source: ServedWire) -> None:
        source.sends_tags = False
        source.breaks = 2
        source_id = original(source)
        image_id = at.create()["id"]
        assert finished(at, image_id, post(at, image_id, source, source_id)).status is JobStatus.SUCCEEDED
        assert at("GET", f"/v2/images/{image_id}/file").body == DATA
        ranges = [asked for _, path, _, asked in source.requests if path.endswith("/file")]
        assert (len(ranges), ranges[0], all(ranges[1:])) == (3, None, True)

    @pytest.mark.parametrize("tags", [True, False])
    def test_after_the_death_of_a_process_only_the_rest_is_fetched(
        self, at: Wire, source: ServedWire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tags: bool
    ) -> None:
        monkeypatch.setattr("glimpse.jobs.steps.import_resumption.MARK_SECONDS", 0.0)
        source.sends_tags = tags
        source_id = original(source)
        image_id = at.create()["id"]
        answer = post(at, image_id, source, source_id)
        job = at.service.deps.database.get_job(show(at, image_id)[LOCK])
        killed_while_writing(at, monkeypatch, job, 2, [tmp_path / "a"])
        [begun] = [path.stat().st_size for path in (tmp_path / "a").glob(".*.partial")]
        assert finished(at, image_id, answer).status is JobStatus.SUCCEEDED
        assert at("GET", f"/v2/images/{image_id}/file").body == DATA
        assert [asked for _, path, _, asked in source.requests if path.endswith("/file")] == [None, f"bytes={begun}-"]
        assert files(tmp_path, "a", "b", "c") == {"a": [image_id], "b": [], "c": []}

    def test_an_endpoint_with_a_path_and_a_version(self, at: Wire, source: ServedWire) -> None:
        source_id = original(source, b"data")
        for end in ("/v2", "/v2/", "/"):
            image_id = at.create()["id"]
            answer = post(at, image_id, f"{source.url}{end}", source_id, region="TWO")
            assert finished(at, image_id, answer).status is JobStatus.SUCCEEDED

    def test_the_token_is_nowhere_else(self, at: Wire, source: ServedWire, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        image_id = at.create()["id"]
        job = finished(at, image_id, post(at, image_id, source, original(source)))
        shown = at("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        assert shown[0]["input"]["import_req"]["method"]["glance_service_interface"] == "public"
        assert TOKEN not in json.dumps([shown, show(at, image_id), job.steps, job.result, job.message])
        assert TOKEN not in caplog.text
        assert "token" not in job.input, "an import that has ended needs it no more"


def test_the_database_has_no_readable_token(source: ServedWire, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    file = tmp_path / "target" / "db"
    database = DatabaseSettings(
        connection=Secret(f"sqlite:///{file}"), metadata_encryption_key=Secret("0123456789abcdef")
    )
    settings = settings_in(
        tmp_path / "target",
        database=database,
        uri_filter=UriFilter(allowed_hosts=("localhost",), allowed_ports=()),
        imports=Imports(enabled_import_methods=METHODS),
    )
    with wired(settings) as wire:
        image_id = wire.create()["id"]
        answer = post(wire, image_id, source, original(source))
        job = wire.service.deps.database.get_job(show(wire, image_id)[LOCK])
        assert job.input["token"] == TOKEN
        waiting = [path.read_bytes() for path in (tmp_path / "target").glob("db*")]
        assert finished(wire, image_id, answer).status is JobStatus.SUCCEEDED
    found = waiting + [path.read_bytes() for path in (tmp_path / "target").glob("db*")]
    assert any(image_id.encode() in content for content in found)
    assert not any(TOKEN.encode() in content for content in found)


class TestRequests:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"glance_region": None}, "glance_region"),
            ({"glance_region": ""}, "glance_region"),
            ({"glance_image_id": None}, "glance_image_id"),
            ({"glance_image_id": "bad"}, "image id does not look like a UUID"),
            ({"glance_image_id": f"{uuid.uuid4()}/../x"}, "image id does not look like a UUID"),
            ({"glance_image_id": 7}, "must be a string"),
            ({"glance_service_interface": ["public"]}, "must be a string"),
        ],
    )
    def test_refused(self, at: Wire, changes: dict[str, object], message: str) -> None:
        image_id = at.create()["id"]
        method = {"name": "glance-download", "glance_region": "Two", "glance_image_id": str(uuid.uuid4()), **changes}
        answer = at("POST", f"/v2/images/{image_id}/import", json_body={"method": method})
        assert (answer.status, message in answer.body.decode()) == (400, True)
        assert LOCK not in show(at, image_id)

    def test_who_does_not_see_the_image_learns_nothing(self, at: Wire) -> None:
        image_id = at.create()["id"]
        assert post(at.as_(OTHER), image_id, "http://localhost", "bad").status == 404

    def test_formats_must_be_set(self, at: Wire) -> None:
        image_id = at("POST", "/v2/images", json_body={}).json["id"]
        assert post(at, image_id, "http://localhost", str(uuid.uuid4())).status == 409


class TestFailures:
    """The task fails, and the image is as before."""

    def failed(self, wire: Wire, directory: Path, *given: Any, **more: Any) -> str:
        image_id = wire.create(hw_own="mine")["id"]
        job = finished(wire, image_id, post(wire, image_id, *given, **more))
        assert job.status is JobStatus.FAILED
        assert is_as_before(wire, image_id, directory)
        assert show(wire, image_id)[REASON] == job.message
        return job.message

    def test_no_such_endpoint(self, at: Wire, source: ServedWire, tmp_path: Path) -> None:
        source_id = original(source, b"data", **COPIED)
        assert "region nowhere" in self.failed(at, tmp_path, source, source_id, region="nowhere")
        more = {"glance_service_interface": "secret"}
        assert "interface secret" in self.failed(at, tmp_path, source, source_id, **more)
        assert source.requests == []

    def test_no_catalog(self, at: Wire, tmp_path: Path) -> None:
        image_id = at.create(hw_own="mine")["id"]
        method = {"name": "glance-download", "glance_region": "Two", "glance_image_id": str(uuid.uuid4())}
        answer = at("POST", f"/v2/images/{image_id}/import", json_body={"method": method})
        assert finished(at, image_id, answer).status is JobStatus.FAILED
        assert is_as_before(at, image_id, tmp_path)

    def test_addresses_that_are_not_allowed(self, at: Wire, source: ServedWire, tmp_path: Path) -> None:
        url = source.url.replace("localhost", "127.0.0.1")
        assert "not allowed" in self.failed(at, tmp_path, url, original(source))
        assert source.requests == []

    def test_an_image_that_is_not_there(self, at: Wire, source: ServedWire, tmp_path: Path) -> None:
        assert "404" in self.failed(at, tmp_path, source, str(uuid.uuid4()))

    def test_a_token_that_is_not_accepted(self, at: Wire, source: ServedWire, tmp_path: Path) -> None:
        source.callers = {}
        assert "401" in self.failed(at, tmp_path, source, str(uuid.uuid4()))

    def test_redirects_to_another_server_do_not_get_the_token(
        self, at: Wire, source: ServedWire, tmp_path: Path
    ) -> None:
        source_id = original(source, b"data", **COPIED)
        with served(source.wire, source.callers) as other:
            for path in (f"/v2/images/{source_id}", f"/v2/images/{source_id}/file"):
                source.overrides = {path: (307, {"Location": f"{other.url}{path}"}, b"")}
                assert "redirects to another server" in self.failed(at, tmp_path, source, source_id)
            assert other.requests == []

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"status": "deactivated"}, "status is deactivated"),
            ({"disk_format": "zip"}, "disk_format"),
            ({"container_format": None}, "container_format"),
            ({"size": None}, "size"),
            ({"size": 5}, "5 bytes by its record, but 4 bytes"),
            ({"os_hash_value": "0" * 128}, f"sha512 {'0' * 128}, but {hashlib.sha512(b'data').hexdigest()}"),
            ({"os_hash_algo": "unknown", "checksum": "0" * 32}, f"md5 {'0' * 32}, but "),
            ({"disk_format": "qcow2"}, "qcow2"),
            ({"hw_x": "\U0001f600"}, "cannot be stored"),
        ],
    )
    def test_records_that_do_not_fit(
        self, at: Wire, source: ServedWire, tmp_path: Path, changes: dict[str, object], message: str
    ) -> None:
        source_id = original(source, b"data", **COPIED)
        record(source, source_id, **changes)
        assert message in self.failed(at, tmp_path, source, source_id)

    @pytest.mark.parametrize("body", [b"no", b"[]", b"null", b'{"status": {}}', b" " * (5 << 20)])
    def test_answers_that_are_no_records(self, at: Wire, source: ServedWire, tmp_path: Path, body: bytes) -> None:
        source_id = original(source, b"data")
        source.overrides[f"/v2/images/{source_id}"] = (200, {}, body)
        assert self.failed(at, tmp_path, source, source_id)

    def test_data_larger_than_images_may_be(self, at: Wire, source: ServedWire, tmp_path: Path) -> None:
        source_id = original(source, bytes(10_000_001))
        assert "image_size_cap" in self.failed(at, tmp_path, source, source_id)
