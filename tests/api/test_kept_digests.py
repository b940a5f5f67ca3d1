"""Further digests of the data that a caller asks for (RFC 9530), and those that openstacksdk records in properties."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job, JobStatus
from glimpse.domain.status import Status
from glimpse.settings.model import UriFilter
from tests.support.images.content import noise
from tests.support.imports import files, run_imports, stage, three_stores
from tests.support.jobs import run_due
from tests.support.located import located
from tests.support.web_server import WebServer, serving
from tests.support.wire import ADMIN, Answer, Wire, settings_in, wired

DATA = noise(300_000)
OCTETS = {"Content-Type": "application/octet-stream"}
SDK = {"User-Agent": "openstacksdk/4.22.0 keystoneauth1/5.14.1 python-requests/2.34.2 CPython/3.11.7"}
LOCK, REASON, KEPT = "os_glance_import_task", "os_glance_failed_upload", "os_glance_digest_"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Wire]:
    rules = UriFilter(allowed_hosts=("localhost",), allowed_ports=())
    with wired(settings_in(tmp_path, stores=three_stores(tmp_path), uri_filter=rules)) as wire:
        yield wire


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as made:
        made.files["a"] = DATA
        yield made


def digest(name: str, data: bytes = DATA) -> str:
    return hashlib.new(name, data).hexdigest()


def field(name: str, data: bytes = DATA) -> str:
    return f"{name}=:{base64.b64encode(hashlib.new(name.replace('-', ''), data).digest()).decode()}:"


def show(wire: Wire, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = wire("GET", f"/v2/images/{image_id}").json
    return shown


def kept(wire: Wire, image_id: str) -> dict[str, str]:
    found = show(wire, image_id).items()
    return {name.removeprefix(KEPT): value for name, value in found if name.startswith(KEPT)}


def imported(wire: Wire, image_id: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Job:
    answer = wire("POST", f"/v2/images/{image_id}/import", json_body=body, headers=headers)
    assert answer.status == 202, answer.body
    return run_imports(wire, wire.service.deps.database.get_job(show(wire, image_id)[LOCK]))


class TestAskedForByAnUpload:
    def test_kept_and_given(self, at: Wire) -> None:
        image_id = at.create()["id"]
        wanted = {"Want-Repr-Digest": "sha-512=3, sha-256=10, crc32c=9"}
        assert at.upload(image_id, DATA, wanted).status == 204
        # the multihash has the other one
        assert kept(at, image_id) == {"sha256": digest("sha256")}
        data = f"/v2/images/{image_id}/file"
        for method in ("GET", "HEAD"):
            answer = at(method, data, headers=wanted)
            assert answer.headers["repr-digest"] == f"{field('sha-256')}, {field('sha-512')}"
            assert at(method, data, headers={"Want-Repr-Digest": "sha-256=1, sha-512=0"}).headers["repr-digest"] == (
                field("sha-256")
            )
            for none in ({}, {"Want-Repr-Digest": "md5=1"}):
                assert "repr-digest" not in at(method, data, headers=none).headers
        # it is that of all data, not of the range
        part = at("GET", data, headers={**wanted, "Range": "bytes=0-9"})
        assert (part.status, part.body, part.headers["repr-digest"]) == (
            206, DATA[:10], f"{field('sha-256')}, {field('sha-512')}"
        )  # fmt: skip

    def test_nothing_without_being_asked(self, at: Wire) -> None:
        image_id = at.create()["id"]
        assert at.upload(image_id, DATA).status == 204
        assert kept(at, image_id) == {}
        answer = at("GET", f"/v2/images/{image_id}/file", headers={"Want-Repr-Digest": "sha-256=1"})
        assert (answer.status, "repr-digest" in answer.headers) == (200, False)

    @pytest.mark.parametrize("value", ["sha-256", "sha-256=x", "sha-256=11", "sha-256=-1", "sha-256=1,", "=", "é"])
    def test_malformed(self, at: Wire, value: str) -> None:
        image_id = at.create()["id"]
        headers = {"Want-Repr-Digest": value}
        answer = at.upload(image_id, DATA, headers)
        assert (answer.status, b"Want-Repr-Digest" in answer.body) == (400, True)
        assert show(at, image_id)["status"] == "queued"
        assert at.upload(image_id, DATA).status == 204
        assert at("GET", f"/v2/images/{image_id}/file", headers=headers).status == 400

    def test_nobody_can_set_them(self, at: Wire) -> None:
        body = {"disk_format": "raw", "container_format": "bare", f"{KEPT}sha256": digest("sha256")}
        assert at("POST", "/v2/images", json_body=body).status == 403
        image_id = at.create()["id"]
        assert at.upload(image_id, DATA, {"Want-Repr-Digest": "sha-256=1"}).status == 204
        for operation in ({"op": "replace", "value": "0"}, {"op": "remove"}):
            assert at.patch(image_id, {**operation, "path": f"/{KEPT}sha256"}).status == 403
        assert kept(at, image_id) == {"sha256": digest("sha256")}

    @pytest.mark.parametrize("way", ["upload", "import"])
    def test_those_of_earlier_data_go(self, at: Wire, web: WebServer, way: str) -> None:
        image_id = at.create()["id"]
        old: dict[str, str | None] = {f"{KEPT}sha256": "0", f"{KEPT}sha384": "0"}
        at.service.deps.database.update_image(image_id, ImageChange(set_properties=old, from_status=(Status.QUEUED,)))
        if way == "upload":
            assert at.upload(image_id, DATA, {"Want-Repr-Digest": "sha-256=1"}).status == 204
        else:
            method = {"name": "web-download", "uri": web.url("files", "a")}
            job = imported(at, image_id, {"method": method, "want_digests": ["sha256"]})
            assert job.status is JobStatus.SUCCEEDED
        assert kept(at, image_id) == {"sha256": digest("sha256")}

    @pytest.mark.parametrize("way", ["PATCH", "POST"])
    def test_those_of_earlier_data_go_with_a_location(self, tmp_path: Path, way: str) -> None:
        with located(tmp_path) as at:
            image_id = at.wire.create()["id"]
            old: dict[str, str | None] = {f"{KEPT}sha256": "0"}
            at.wire.service.deps.database.update_image(
                image_id, ImageChange(set_properties=old, from_status=(Status.QUEUED,))
            )
            answer = at.add(image_id, at.url) if way == "PATCH" else at.post(image_id, at.url)
            assert answer.status in (200, 202)
            run_due(at.wire.service.jobs)
            assert show(at.wire, image_id)["status"] == "active"
            assert kept(at.wire, image_id) == {}


class TestAskedForByAnImport:
    @pytest.mark.parametrize("must", [True, False])
    @pytest.mark.parametrize("method", ["glance-direct", "web-download", "copy-image"])
    def test_kept(self, at: Wire, web: WebServer, method: str, must: bool) -> None:
        image_id = at.create()["id"]
        if method == "glance-direct":
            stage(at, image_id, DATA)
        elif method == "copy-image":
            assert at.upload(image_id, DATA).status == 204
        body = {
            "method": {"name": method, "uri": web.url("files", "a")},
            "stores": ["b", "c"],
            "all_stores_must_succeed": must,
            "want_digests": ["sha256", "SHA-384", "sha512", "sha256"],
        }
        job = imported(at.as_(ADMIN) if method == "copy-image" else at, image_id, body)
        assert (job.status, job.message) == (JobStatus.SUCCEEDED, "")
        assert kept(at, image_id) == {"sha256": digest("sha256"), "sha384": digest("sha384")}
        assert show(at, image_id)["status"] == "active"
        answer = at("GET", f"/v2/images/{image_id}/file", headers={"Want-Repr-Digest": "sha-256=1"})
        assert (answer.body, answer.headers["repr-digest"]) == (DATA, field("sha-256"))

    @pytest.mark.parametrize("wanted", ["sha256", ["md5"], ["crc32"], [1], {"sha256": 1}, [""]])
    def test_malformed(self, at: Wire, wanted: object) -> None:
        image_id = at.create()["id"]
        stage(at, image_id, DATA)
        body = {"method": {"name": "glance-direct"}, "want_digests": wanted}
        assert at("POST", f"/v2/images/{image_id}/import", json_body=body).status == 400
        assert LOCK not in show(at, image_id)


def properties(name: str = "n", *, vendor: str = "openstack", **values: str) -> dict[str, str]:
    """What openstacksdk sets when it creates an image."""
    prefix = f"owner_specified.{vendor}."
    own = {"md5": digest("md5"), "sha256": digest("sha256"), "object": f"images/{name}"}
    return {"name": "n", **{prefix + key: value for key, value in {**own, **values}.items()}}


WRONG = {"sha256": digest("sha256", b"other")}


def send(wire: Wire, way: str, image_id: str, headers: dict[str, str] = SDK) -> Answer:
    return wire("PUT", f"/v2/images/{image_id}/{way}", DATA, {**OCTETS, **headers})


@pytest.mark.parametrize("way", ["file", "stage"])
class TestSentByTheSdk:
    @pytest.mark.parametrize("values", [{}, {"md5": ""}, {"sha256": ""}, {"md5": "", "sha256": ""}, {"md5": "x"}])
    def test_right(self, at: Wire, way: str, values: dict[str, str]) -> None:
        image_id = at.create(**properties(**values))["id"]
        assert send(at, way, image_id).status == 204
        assert show(at, image_id)["status"] == ("active" if way == "file" else "uploading")

    @pytest.mark.parametrize("vendor", ["openstack", "shade"])
    @pytest.mark.parametrize("algorithm", ["md5", "sha256"])
    def test_wrong(self, at: Wire, tmp_path: Path, way: str, vendor: str, algorithm: str) -> None:
        wrong = digest(algorithm, b"other")
        image_id = at.create(**properties(vendor=vendor, **{algorithm: wrong}))["id"]
        answer = send(at, way, image_id)
        assert answer.status == 400
        for value in (wrong, digest(algorithm)):
            assert value.encode() in answer.body
        shown = show(at, image_id)
        assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)
        assert files(tmp_path, "a", "b", "c") == {"a": [], "b": [], "c": []}
        assert list(at.service.deps.staging.images()) == []

    @pytest.mark.parametrize(
        "given",
        [
            # a copy of the properties of another image, and a snapshot of a server
            properties("other", **WRONG),
            {**properties(**WRONG), "base_image_ref": "3b4a7a71-1db0-4a3c-8f1f-3c7b1b3b8c6e"},
            {**properties(**WRONG), "image_type": "snapshot"},
        ],
    )
    def test_properties_of_another_image(self, at: Wire, way: str, given: dict[str, str]) -> None:
        assert send(at, way, at.create(**given)["id"]).status == 204

    def test_other_senders(self, at: Wire, way: str) -> None:
        """A service that makes an image from a volume copies the properties and even the name."""
        image_id = at.create(**properties(**WRONG))["id"]
        assert send(at, way, image_id, {"User-Agent": "python-glanceclient"}).status == 204

    def test_a_digest_in_a_header_that_contradicts(self, at: Wire, way: str) -> None:
        image_id = at.create(**properties(**WRONG))["id"]
        answer = send(at, way, image_id, {**SDK, "Content-Digest": field("sha-256")})
        assert (answer.status, b"Two different digests" in answer.body) == (400, True)
        assert show(at, image_id)["status"] == "queued"


@pytest.mark.parametrize(("headers", "is_verified"), [(SDK, True), ({}, False)])
def test_data_at_a_url_that_the_sdk_asks_for(
    at: Wire, web: WebServer, tmp_path: Path, headers: dict[str, str], is_verified: bool
) -> None:
    body = {"method": {"name": "web-download", "uri": web.url("files", "a")}}
    right, wrong = at.create(**properties())["id"], at.create(**properties(**WRONG))["id"]
    assert imported(at, right, body, headers).status is JobStatus.SUCCEEDED
    job = imported(at, wrong, body, headers)
    if not is_verified:
        assert job.status is JobStatus.SUCCEEDED
        return
    assert job.status is JobStatus.FAILED
    for value in (WRONG["sha256"], digest("sha256")):
        assert value in job.message
    shown = show(at, wrong)
    assert (shown["status"], shown[REASON], LOCK in shown) == ("queued", job.message, False)
    assert files(tmp_path, "a", "b", "c") == {"a": [right], "b": [], "c": []}
    # whoever retries it, the digests still count
    assert retried(at, wrong, job).status is JobStatus.FAILED
    sha256 = {"op": "replace", "path": "/owner_specified.openstack.sha256", "value": digest("sha256")}
    assert at.patch(wrong, sha256).status == 200
    assert retried(at, wrong, job).status is JobStatus.SUCCEEDED


def retried(wire: Wire, image_id: str, job: Job) -> Job:
    """Retry an import as another client, and run it."""
    answer = wire("POST", f"/v2/images/{image_id}/tasks/{job.id}/actions/retry")
    assert answer.status == 202, answer.body
    return run_imports(wire, wire.service.deps.database.get_job(show(wire, image_id)[LOCK]))
