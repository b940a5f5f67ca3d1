"""Import plugins that need no other program: compressed data, and injected properties (imports-and-stores 2.16)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from glimpse.domain.job import Job, JobStatus
from glimpse.settings.model import ImportPlugins, Limits, Quotas, UriFilter
from tests.support.images.content import noise
from tests.support.images.qcow2 import qcow2
from tests.support.imports import files, imported, run_imports, staged, three_stores
from tests.support.web_server import WebServer, serving
from tests.support.wire import ADMIN, Caller, Wire, settings_in, wired

CAP = 1_500_000
DATA = noise(100_000) + bytes(1_000_000) + noise(100_000, "end")
M, F, LOCK = "os_glance_importing_to_stores", "os_glance_failed_import", "os_glance_import_task"
REASON = "os_glance_failed_upload"


@contextmanager
def service(directory: Path, *names: str, limits: Limits | None = None, **options: Any) -> Iterator[Wire]:
    """Three file stores, and these plugins."""
    settings = settings_in(
        directory,
        stores=three_stores(directory),
        limits=limits or Limits(image_size_cap=CAP),
        uri_filter=UriFilter(allowed_hosts=("localhost",), allowed_ports=()),
        import_plugins=ImportPlugins(names=names, **options),
    )
    with wired(settings) as wire:
        yield wire


@pytest.fixture
def unpacking(tmp_path: Path) -> Iterator[Wire]:
    with service(tmp_path, "image_decompression") as wire:
        yield wire


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as made:
        yield made


def zipped(*members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(members):
            archive.writestr(f"disk{number}.raw", data)
    return target.getvalue()


def show(wire: Wire, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = wire("GET", f"/v2/images/{image_id}").json
    return shown


def is_queued_and_clean(wire: Wire, image_id: str, directory: Path, stores: str = "a,b") -> bool:
    shown = show(wire, image_id)
    assert (shown["status"], shown["size"], shown["checksum"], shown[M], shown[F]) == ("queued", None, None, "", stores)
    assert LOCK not in shown
    assert files(directory, "a", "b", "c") == {"a": [], "b": [], "c": []}
    return nothing_staged(wire)


def nothing_staged(wire: Wire) -> bool:
    staging = wire.service.deps.staging
    return list(staging.images()) == [] and list(staging.unfinished()) == []


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zip": zipped,
    "zstd": zstd.compress,
}


class TestDecompression:
    @pytest.mark.parametrize("kind", ["gzip", "zip", "zstd"])
    def test_staged_data(self, unpacking: Wire, tmp_path: Path, kind: str) -> None:
        image_id = staged(unpacking, PACKERS[kind](DATA))
        job = imported(unpacking, image_id, stores=("a", "b"))
        assert (job.status, job.message) == (JobStatus.SUCCEEDED, "")
        shown = show(unpacking, image_id)
        assert (shown["status"], shown["size"], shown["virtual_size"]) == ("active", len(DATA), len(DATA))
        assert shown["checksum"] == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
        assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
        assert (shown["disk_format"], shown["container_format"], shown["stores"]) == ("raw", "bare", "a,b")
        assert unpacking("GET", f"/v2/images/{image_id}/file").body == DATA
        assert files(tmp_path, "a", "b", "c") == {"a": [image_id], "b": [image_id], "c": []}
        assert nothing_staged(unpacking)

    def test_data_of_a_url(self, unpacking: Wire, web: WebServer) -> None:
        web.files["a"] = gzip.compress(DATA)
        image_id = unpacking.create()["id"]
        job = imported(unpacking, image_id, "web-download", ("a",), web.url("files", "a"))
        assert job.status is JobStatus.SUCCEEDED
        assert unpacking("GET", f"/v2/images/{image_id}/file").body == DATA
        assert sum(method == "GET" for method, *_ in web.requests) == 1

    def test_the_content_is_inspected(self, unpacking: Wire, tmp_path: Path) -> None:
        good = staged(unpacking, gzip.compress(qcow2(noise(65536))), disk_format="qcow2")
        assert imported(unpacking, good, stores=("c",)).status is JobStatus.SUCCEEDED
        assert show(unpacking, good)["virtual_size"] == 65536
        unpacking("DELETE", f"/v2/images/{good}")
        unsafe = gzip.compress(qcow2(bytes(65536), backing_file=b"/etc/passwd"))
        image_id = staged(unpacking, unsafe, disk_format="qcow2")
        job = imported(unpacking, image_id, stores=("a", "b"))
        assert job.status is JobStatus.FAILED
        assert "backing_file" in job.message
        assert is_queued_and_clean(unpacking, image_id, tmp_path)

    def test_other_data_pass(self, unpacking: Wire) -> None:
        for data in (DATA, b"x", noise(20)):
            image_id = staged(unpacking, data)
            assert imported(unpacking, image_id, stores=("a",)).status is JobStatus.SUCCEEDED
            assert unpacking("GET", f"/v2/images/{image_id}/file").body == data

    def test_staged_data_that_are_not_compressed_are_not_copied(self, unpacking: Wire, tmp_path: Path) -> None:
        image_id = staged(unpacking, DATA)
        path = unpacking.service.deps.staging.path(image_id)
        assert path is not None
        file = path.stat().st_ino
        assert imported(unpacking, image_id, stores=("a",)).status is JobStatus.SUCCEEDED
        assert (tmp_path / "a" / image_id).stat().st_ino == file

    def test_a_digest_is_that_of_the_compressed_data(self, unpacking: Wire, tmp_path: Path) -> None:
        packed = gzip.compress(DATA)
        for data, status in ((packed, JobStatus.SUCCEEDED), (DATA, JobStatus.FAILED)):
            image_id = staged(unpacking, packed)
            method = {"name": "glance-direct", "digest": f"sha256:{hashlib.sha256(data).hexdigest()}"}
            body = {"method": method, "stores": ["a", "b"]}
            assert unpacking("POST", f"/v2/images/{image_id}/import", json_body=body).status == 202
            job = run_imports(unpacking, unpacking.service.deps.database.get_job(show(unpacking, image_id)[LOCK]))
            assert job.status is status, job.message
            if status is JobStatus.SUCCEEDED:
                assert unpacking("DELETE", f"/v2/images/{image_id}").status == 204
        assert is_queued_and_clean(unpacking, image_id, tmp_path)

    def test_empty_data_pass(self, unpacking: Wire) -> None:
        image_id = staged(unpacking, b"")
        assert imported(unpacking, image_id, stores=("a",)).status is JobStatus.SUCCEEDED
        assert show(unpacking, image_id)["size"] == 0

    def test_container_format_compressed_stays_compressed(self, unpacking: Wire) -> None:
        packed = gzip.compress(DATA)
        image_id = staged(unpacking, packed, container_format="compressed")
        assert imported(unpacking, image_id, stores=("a",)).status is JobStatus.SUCCEEDED
        assert unpacking("GET", f"/v2/images/{image_id}/file").body == packed

    def test_without_the_plugin_data_stay_compressed(self, tmp_path: Path) -> None:
        packed = gzip.compress(DATA)
        with service(tmp_path, "no_op") as wire:
            image_id = staged(wire, packed)
            assert imported(wire, image_id, stores=("a",)).status is JobStatus.SUCCEEDED
            assert wire("GET", f"/v2/images/{image_id}/file").body == packed

    @pytest.mark.parametrize(("kind", "method"), [("gzip", "web-download"), ("zip", "glance-direct")])
    def test_a_bomb(self, unpacking: Wire, tmp_path: Path, web: WebServer, kind: str, method: str) -> None:
        bomb = PACKERS[kind](bytes(3 * CAP))
        web.files["a"] = bomb
        image_id = staged(unpacking, bomb) if method == "glance-direct" else unpacking.create()["id"]
        uri = web.url("files", "a") if method == "web-download" else None
        job = imported(unpacking, image_id, method, ("a", "b"), uri)
        assert job.status is JobStatus.FAILED
        assert "image_size_cap" in job.message
        assert show(unpacking, image_id)[REASON] == job.message
        assert is_queued_and_clean(unpacking, image_id, tmp_path)

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (gzip.compress(DATA)[:-9], "incomplete"),
            (gzip.compress(DATA)[:-9] + bytes(9), "damaged"),
            (gzip.compress(DATA) + b"more", "followed by other data"),
            (zipped(DATA, b"second"), "exactly one"),
            (b"\x1e\0-lh5-" + bytes(100), "LHA"),
        ],
        ids=["cut", "damaged", "followed", "two files", "lha"],
    )
    def test_data_that_cannot_be_unpacked(self, unpacking: Wire, tmp_path: Path, data: bytes, reason: str) -> None:
        image_id = staged(unpacking, data)
        job = imported(unpacking, image_id, stores=("a", "b"))
        assert job.status is JobStatus.FAILED
        assert reason in job.message
        assert is_queued_and_clean(unpacking, image_id, tmp_path)

    def test_a_copy_is_never_unpacked(self, unpacking: Wire) -> None:
        packed = gzip.compress(DATA)
        image_id = unpacking.create()["id"]
        assert unpacking.upload(image_id, packed).status == 204
        assert imported(unpacking, image_id, "copy-image", ("b",)).status is JobStatus.SUCCEEDED
        shown = show(unpacking, image_id)
        assert (shown["stores"], shown["size"]) == ("a,b", len(packed))

    def test_the_quota_counts_what_is_unpacked(self, tmp_path: Path) -> None:
        settings = settings_in(
            tmp_path,
            stores=three_stores(tmp_path),
            quotas=Quotas(user_storage_quota=1_000_000),
            import_plugins=ImportPlugins(names=("image_decompression",)),
        )
        with wired(settings) as wire:
            image_id = staged(wire, gzip.compress(bytes(2_000_000)))
            job = imported(wire, image_id, stores=("a",))
            assert job.status is JobStatus.FAILED
            assert "may use at most 1000000 bytes" in job.message
            assert files(tmp_path, "a", "b", "c") == {"a": [], "b": [], "c": []}


INJECT = {"os_origin": "import", "site": "one", "os_glance_import_task": "x", "OS_type": "linux"}


class TestInjection:
    def requested(self, wire: Wire, image_id: str) -> Job:
        body = {"method": {"name": "glance-direct"}, "stores": ["a"]}
        assert wire("POST", f"/v2/images/{image_id}/import", json_body=body).status == 202
        return run_imports(wire, wire.service.deps.database.get_job(show(wire, image_id)[LOCK]))

    def test_properties_are_set(self, tmp_path: Path) -> None:
        with service(tmp_path, "inject_image_metadata", inject=INJECT) as wire:
            image_id = staged(wire, DATA, site="old", own="kept")
            assert self.requested(wire, image_id).status is JobStatus.SUCCEEDED
            shown = show(wire, image_id)
        assert (shown["os_origin"], shown["site"], shown["OS_type"], shown["own"]) == ("import", "one", "linux", "kept")
        assert LOCK not in shown
        assert shown["status"] == "active"

    def test_not_for_users_with_one_of_the_roles(self, tmp_path: Path) -> None:
        with service(tmp_path, "inject_image_metadata", inject=INJECT, ignore_user_roles=("Builder",)) as wire:
            for caller, expected in ((Caller(roles="member,reader,builder"), None), (ADMIN, "import")):
                user = wire.as_(caller)
                image_id = staged(user, DATA)
                assert self.requested(user, image_id).status is JobStatus.SUCCEEDED
                assert show(user, image_id).get("os_origin") == expected

    def test_the_property_quota_does_not_count(self, tmp_path: Path) -> None:
        limits = Limits(image_size_cap=CAP, image_property_quota=1)
        with service(tmp_path, "inject_image_metadata", limits=limits, inject=INJECT) as wire:
            image_id = staged(wire, DATA, own="kept")
            assert self.requested(wire, image_id).status is JobStatus.SUCCEEDED
            assert show(wire, image_id)["site"] == "one"

    def test_a_failed_import_injects_nothing(self, tmp_path: Path) -> None:
        with service(tmp_path, "image_decompression", "inject_image_metadata", inject=INJECT) as wire:
            image_id = staged(wire, gzip.compress(DATA)[:-20])
            assert self.requested(wire, image_id).status is JobStatus.FAILED
            assert "os_origin" not in show(wire, image_id)

    def test_copies_get_none(self, tmp_path: Path) -> None:
        with service(tmp_path, "inject_image_metadata", inject=INJECT) as wire:
            image_id = wire.create()["id"]
            assert wire.upload(image_id, DATA).status == 204
            assert imported(wire, image_id, "copy-image", ("b",)).status is JobStatus.SUCCEEDED
            assert "os_origin" not in show(wire, image_id)


def test_the_job_knows_the_roles_of_the_caller(tmp_path: Path) -> None:
    with service(tmp_path) as wire:
        image_id = staged(wire, DATA)
        body = {"method": {"name": "glance-direct"}}
        assert wire("POST", f"/v2/images/{image_id}/import", json_body=body).status == 202
        job = wire.service.deps.database.get_job(show(wire, image_id)[LOCK])
        assert job.input["roles"] == ["member", "reader"]
        assert "roles" not in json.loads(job.input["request"])
