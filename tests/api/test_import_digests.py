"""Digests that the caller of an import gives, or that a file beside the source has."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.domain.job import Job, JobStatus
from glimpse.settings.model import ImportPlugins, UriFilter
from tests.support.images.content import noise
from tests.support.imports import files, run_imports, stage, three_stores
from tests.support.web_server import WebServer, serving
from tests.support.wire import ADMIN, Answer, Wire, settings_in, wired

DATA = noise(1_300_000)
M, F, LOCK = "os_glance_importing_to_stores", "os_glance_failed_import", "os_glance_import_task"
REASON = "os_glance_failed_upload"


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as made:
        made.files["a"] = DATA
        yield made


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Wire]:
    rules = UriFilter(allowed_hosts=("localhost",), allowed_ports=())
    with wired(settings_in(tmp_path, stores=three_stores(tmp_path), uri_filter=rules)) as wire:
        yield wire


def digest(name: str, data: bytes = DATA) -> str:
    return hashlib.new(name, data).hexdigest()


def ask(wire: Wire, image_id: str, method: str, **fields: object) -> Answer:
    body = {"method": {"name": method, **fields}, "stores": ["b", "c"]}
    return wire("POST", f"/v2/images/{image_id}/import", json_body=body)


def show(wire: Wire, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = wire("GET", f"/v2/images/{image_id}").json
    return shown


def done(wire: Wire, image_id: str, method: str, **fields: object) -> Job:
    """Ask for an import, run it, and return its job, with the message that the task shows."""
    answer = ask(wire, image_id, method, **fields)
    assert answer.status == 202, answer.body
    job = run_imports(wire, wire.service.deps.database.get_job(show(wire, image_id)[LOCK]))
    [task] = [one for one in wire("GET", f"/v2/images/{image_id}/tasks").json["tasks"] if one["id"] == job.id]
    assert task["message"] == job.message
    return job


def prepared(wire: Wire, method: str) -> str:
    """An image that is ready for an import of ``DATA`` by ``method``."""
    image_id: str = wire.create()["id"]
    if method == "glance-direct":
        stage(wire, image_id, DATA)
    elif method == "copy-image":
        assert wire.upload(image_id, DATA, {"X-Image-Meta-Store": "a"}).status == 204
    return image_id


def is_queued_and_clean(wire: Wire, image_id: str, directory: Path) -> None:
    shown = show(wire, image_id)
    assert (shown["status"], shown["size"], shown["checksum"], shown[M], shown[F]) == ("queued", None, None, "", "b,c")
    assert LOCK not in shown
    assert files(directory, "a", "b", "c") == {"a": [], "b": [], "c": []}
    assert list(wire.service.deps.staging.images()) == []


class TestInTheRequest:
    @pytest.mark.parametrize("method", ["glance-direct", "web-download"])
    @pytest.mark.parametrize("algorithm", ["sha256", "sha512", "md5"])
    def test_right(self, at: Wire, web: WebServer, method: str, algorithm: str) -> None:
        image_id = prepared(at, method)
        job = done(at, image_id, method, uri=web.url("files", "a"), digest=f"{algorithm}:{digest(algorithm)}")
        assert (job.status, job.message) == (JobStatus.SUCCEEDED, "")
        assert at("GET", f"/v2/images/{image_id}/file").body == DATA

    @pytest.mark.parametrize("method", ["glance-direct", "web-download"])
    def test_wrong(self, at: Wire, web: WebServer, tmp_path: Path, method: str) -> None:
        image_id = prepared(at, method)
        wrong = digest("sha256", b"other")
        job = done(at, image_id, method, uri=web.url("files", "a"), digest=f"sha256:{wrong}")
        assert job.status is JobStatus.FAILED
        assert job.message == (
            f"The data do not have the digest that was given: sha256 {wrong}, but {digest('sha256')}."
        )
        assert show(at, image_id)[REASON] == job.message
        is_queued_and_clean(at, image_id, tmp_path)
        assert at.upload(image_id, DATA).status == 204

    @pytest.mark.parametrize("is_right", [True, False])
    @pytest.mark.parametrize("must", [True, False])
    def test_copies(self, at: Wire, tmp_path: Path, is_right: bool, must: bool) -> None:
        image_id = prepared(at, "copy-image")
        body = {
            "method": {"name": "copy-image", "digest": f"SHA-256:{digest('sha256', DATA if is_right else b'')}"},
            "stores": ["b"],
            "all_stores_must_succeed": must,
        }
        assert at.as_(ADMIN)("POST", f"/v2/images/{image_id}/import", json_body=body).status == 202
        job = run_imports(at, at.service.deps.database.get_job(show(at, image_id)[LOCK]))
        assert job.status is (JobStatus.SUCCEEDED if is_right else JobStatus.FAILED)
        shown = show(at, image_id)
        assert (shown["status"], shown["stores"]) == ("active", "a,b" if is_right else "a")
        assert (shown[M], shown[F], LOCK in shown) == ("", "" if is_right else "b", False)
        assert files(tmp_path, "b")["b"] == ([image_id] if is_right else [])

    @pytest.mark.parametrize(
        "value",
        ["", "abc", digest("sha256"), f"crc32:{digest('md5')}", f"sha256:{digest('md5')}", 5, ["sha256:0"],
         {"algorithm": "sha256", "value": digest("sha256")}],
    )  # fmt: skip
    def test_malformed(self, at: Wire, web: WebServer, value: object) -> None:
        image_id = at.create()["id"]
        assert ask(at, image_id, "web-download", uri=web.url("files", "a"), digest=value).status == 400
        assert LOCK not in show(at, image_id)
        assert web.requests == []

    def test_null_is_none(self, at: Wire, web: WebServer) -> None:
        image_id = at.create()["id"]
        job = done(at, image_id, "web-download", uri=web.url("files", "a"), digest=None, checksum_uri=None)
        assert job.status is JobStatus.SUCCEEDED


class TestChecksumFile:
    @pytest.mark.parametrize(
        "line",
        ["{sha256}  a", "{sha256} *a", "\\{sha256}  a", "SHA256 (a) = {sha256}", "{sha256}", "{md5}  a",
         "{sha512}  ./a\n{other}  a"],
    )  # fmt: skip
    def test_right(self, at: Wire, web: WebServer, line: str) -> None:
        values = {name: digest(name) for name in ("sha256", "sha512", "md5")}
        other = digest("sha256", b"other")
        # of several algorithms the strongest decides
        web.files["SUMS"] = line.format(**values, other=other).encode()
        image_id = at.create()["id"]
        uri = f"{web.url('files', 'a')}?token=x/y"
        job = done(at, image_id, "web-download", uri=uri, checksum_uri=web.url("chunked", "SUMS"))
        assert (job.status, job.message) == (JobStatus.SUCCEEDED, "")
        assert at("GET", f"/v2/images/{image_id}/file").body == DATA

    def test_wrong(self, at: Wire, web: WebServer, tmp_path: Path) -> None:
        wrong = digest("sha256", b"other")
        web.files["SUMS"] = f"{wrong}  a\n{digest('sha256')}  b\n".encode()
        image_id = at.create()["id"]
        job = done(at, image_id, "web-download", uri=web.url("files", "a"), checksum_uri=web.url("files", "SUMS"))
        assert job.status is JobStatus.FAILED
        for value in (wrong, digest("sha256")):
            assert value in show(at, image_id)[REASON]
            assert value in job.message
        is_queued_and_clean(at, image_id, tmp_path)

    @pytest.mark.parametrize(
        ("sums", "reason"),
        [
            (b"", "no digest of 'a'"),
            (b"0" * 64 + b"  b\n", "no digest of 'a'"),
            (b"0" * 64 + b"  a\n" + b"1" * 64 + b"  a\n", "several different digests of 'a'"),
            (b"BLAKE2b (a) = " + b"0" * 128, "no digest of 'a'"),
            (b"0" * 64 + b"  a\n\0", "not a text"),
            (b"0" * 64 + b"  a\n" + b"#" * (1 << 20), "more than 1048576 bytes"),
            (None, "404"),
        ],
    )
    def test_files_of_no_use(self, at: Wire, web: WebServer, tmp_path: Path, sums: bytes | None, reason: str) -> None:
        if sums is not None:
            web.files["SUMS"] = sums
        for kind in ("files", "chunked"):
            image_id = at.create()["id"]
            job = done(at, image_id, "web-download", uri=web.url("files", "a"), checksum_uri=web.url(kind, "SUMS"))
            assert job.status is JobStatus.FAILED
            assert "The file at 'checksum_uri' cannot be used: " in job.message
            assert reason in job.message
            assert show(at, image_id)[REASON] == job.message
            is_queued_and_clean(at, image_id, tmp_path)
        assert all(path.endswith("SUMS") for _, path, *_ in web.requests), "the data are not asked for"

    def test_a_redirect_inward_is_not_followed(self, at: Wire, web: WebServer, tmp_path: Path) -> None:
        web.files["SUMS"] = digest("sha256").encode()
        image_id = at.create()["id"]
        sums = f"{web.url('redirect', '302')}?to={web.url('files', 'SUMS', host='127.0.0.1')}"
        job = done(at, image_id, "web-download", uri=web.url("files", "a"), checksum_uri=sums)
        assert (job.status, "redirects to a URL that is not allowed" in job.message) == (JobStatus.FAILED, True)
        is_queued_and_clean(at, image_id, tmp_path)
        assert len(web.requests) == 1

    @pytest.mark.parametrize(
        "sums",
        ["http://127.0.0.1/SUMS", "file:///etc/passwd", "gopher://localhost/SUMS", "http://[::ffff:127.0.0.1]/SUMS",
         "http://2130706433/SUMS", "", "SUMS", 5],
    )  # fmt: skip
    def test_addresses_that_are_not_allowed(self, at: Wire, web: WebServer, sums: object) -> None:
        image_id = at.create()["id"]
        assert ask(at, image_id, "web-download", uri=web.url("files", "a"), checksum_uri=sums).status == 400
        assert LOCK not in show(at, image_id)
        assert web.requests == []

    def test_only_for_data_at_a_url_with_a_name(self, at: Wire, web: WebServer) -> None:
        sums = web.url("files", "SUMS")
        answer = ask(at, at.create()["id"], "web-download", uri=web.url("files"), checksum_uri=sums)
        assert (answer.status, b"without the name of a file" in answer.body) == (400, True)
        image_id = prepared(at, "glance-direct")
        answer = ask(at, image_id, "glance-direct", checksum_uri=sums)
        assert (answer.status, b"needs the method web-download" in answer.body) == (400, True)
        assert show(at, image_id)["status"] == "uploading"

    def test_with_a_digest_in_the_request(self, at: Wire, web: WebServer, tmp_path: Path) -> None:
        web.files["SUMS"] = f"{digest('sha256')}  a".encode()
        urls = {"uri": web.url("files", "a"), "checksum_uri": web.url("files", "SUMS")}
        image_id = at.create()["id"]
        job = done(at, image_id, "web-download", **urls, digest=f"sha256:{digest('sha256', b'')}")
        assert (job.status, "Two different digests of sha256" in job.message) == (JobStatus.FAILED, True)
        is_queued_and_clean(at, image_id, tmp_path)
        job = done(at, image_id, "web-download", **urls, digest=f"md5:{digest('md5', b'')}")
        assert (job.status, digest("md5") in job.message) == (JobStatus.FAILED, True)
        job = done(at, image_id, "web-download", **urls, digest=f"md5:{digest('md5')}")
        assert job.status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("method", ["glance-direct", "web-download"])
def test_data_that_a_plugin_unpacks(tmp_path: Path, web: WebServer, method: str) -> None:
    """The digests given are those of the source, the ones asked for those of the image."""
    packed = web.files["a"] = gzip.compress(DATA)
    settings = settings_in(
        tmp_path,
        stores=three_stores(tmp_path),
        uri_filter=UriFilter(allowed_hosts=("localhost",), allowed_ports=()),
        import_plugins=ImportPlugins(names=("image_decompression",)),
    )
    with wired(settings) as wire:
        image_id = wire.create()["id"]
        for data, status in ((DATA, JobStatus.FAILED), (packed, JobStatus.SUCCEEDED)):
            if method == "glance-direct":
                stage(wire, image_id, packed)
            fields = {"name": method, "uri": web.url("files", "a"), "digest": f"sha256:{digest('sha256', data)}"}
            body = {"method": fields, "stores": ["b", "c"], "want_digests": ["sha256"]}
            assert wire("POST", f"/v2/images/{image_id}/import", json_body=body).status == 202
            job = run_imports(wire, wire.service.deps.database.get_job(show(wire, image_id)[LOCK]))
            assert job.status is status
            if status is JobStatus.FAILED:
                assert digest("sha256", packed) in job.message
                is_queued_and_clean(wire, image_id, tmp_path)
        assert show(wire, image_id)["os_glance_digest_sha256"] == digest("sha256")
        assert wire("GET", f"/v2/images/{image_id}/file").body == DATA
