"""The import plugin ``image_conversion`` with a real ``qemu-img`` (imports-and-stores 2.16)."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from glimpse.domain.job import JobStatus
from glimpse.errors import LeaseLost
from glimpse.jobs.base import JobStopped
from glimpse.settings.model import Formats, ImportPlugins, Limits, UriFilter
from tests.support.footprint import eventually, leases
from tests.support.images.content import MIB, noise
from tests.support.images.iso import iso
from tests.support.images.qcow2 import qcow2
from tests.support.imports import begin_import, files, imported, run_imports, staged, three_stores
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.needs import unavailable
from tests.support.raw_http import OCTETS, Api
from tests.support.service import Service
from tests.support.web_server import WebServer, serving
from tests.support.wire import Wire, settings_in, wired

CAP = 16 * MIB
DISK = noise(512 << 10) + bytes(2 * MIB) + noise(512 << 10, "end")
M, F, LOCK = "os_glance_importing_to_stores", "os_glance_failed_import", "os_glance_import_task"

Start = Callable[..., Wire]


@pytest.fixture(autouse=True)
def _qemu_img() -> None:
    if shutil.which("qemu-img") is None:
        unavailable("qemu-img is not installed")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a service with three file stores."""
    with ExitStack() as stack:

        def begin(*names: str, formats: Formats | None = None, **options: Any) -> Wire:
            settings = settings_in(
                tmp_path,
                stores=three_stores(tmp_path),
                limits=Limits(image_size_cap=CAP),
                uri_filter=UriFilter(allowed_hosts=("localhost",), allowed_ports=()),
                import_plugins=ImportPlugins(names=names or ("image_conversion",), **options),
                **({} if formats is None else {"formats": formats}),
            )
            return stack.enter_context(wired(settings))

        yield begin


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as made:
        yield made


def as_format(directory: Path, driver: str, *options: str) -> bytes:
    """The disk in another format."""
    source, target = directory / "source", directory / "target"
    source.write_bytes(DISK)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", driver, *options, source, target], check=True)
    data = target.read_bytes()
    source.unlink()
    target.unlink()
    return data


def back(directory: Path, driver: str, data: bytes) -> bytes:
    """The disk in an image of another format."""
    source, target = directory / "source", directory / "target"
    source.write_bytes(data)
    subprocess.run(["qemu-img", "convert", "-f", driver, "-O", "raw", source, target], check=True)
    disk = target.read_bytes()
    source.unlink()
    target.unlink()
    return disk


def show(wire: Wire, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = wire("GET", f"/v2/images/{image_id}").json
    return shown


def nothing_staged(wire: Wire) -> bool:
    staging = wire.service.deps.staging
    return list(staging.images()) == [] and list(staging.unfinished()) == []


def is_queued_and_clean(wire: Wire, image_id: str, directory: Path) -> bool:
    shown = show(wire, image_id)
    assert (shown["status"], shown["size"], shown["checksum"], shown[M], shown[F]) == ("queued", None, None, "", "a,b")
    assert LOCK not in shown
    assert files(directory, "a", "b", "c") == {"a": [], "b": [], "c": []}
    return nothing_staged(wire)


@pytest.mark.parametrize(
    ("disk_format", "driver", "options"),
    [
        pytest.param("qcow2", "qcow2", [], id="qcow2"),
        pytest.param("vmdk", "vmdk", [], id="vmdk", marks=pytest.mark.heavy),
        pytest.param("vmdk", "vmdk", ["-o", "subformat=streamOptimized"], id="vmdk-stream", marks=pytest.mark.heavy),
        pytest.param("vhd", "vpc", ["-o", "force_size=on"], id="vhd", marks=pytest.mark.heavy),
        pytest.param("vhd", "vpc", ["-o", "subformat=fixed,force_size=on"], id="vhd-fixed", marks=pytest.mark.heavy),
        pytest.param("vhdx", "vhdx", [], id="vhdx", marks=pytest.mark.heavy),
        pytest.param("vdi", "vdi", [], id="vdi", marks=pytest.mark.heavy),
    ],
)
def test_staged_data_become_raw(
    start: Start, tmp_path: Path, disk_format: str, driver: str, options: list[str]
) -> None:
    wire = start()
    image_id = staged(wire, as_format(tmp_path, driver, *options), disk_format=disk_format)
    job = imported(wire, image_id, stores=("a", "b"))
    assert (job.status, job.message) == (JobStatus.SUCCEEDED, "")
    shown = show(wire, image_id)
    data = wire("GET", f"/v2/images/{image_id}/file").body
    assert data[: len(DISK)] == DISK
    assert not data[len(DISK) :].strip(b"\0")
    assert (shown["status"], shown["disk_format"], shown["container_format"]) == ("active", "raw", "bare")
    assert (shown["size"], shown["virtual_size"], shown["stores"]) == (len(data), len(data), "a,b")
    assert shown["checksum"] == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert files(tmp_path, "a", "b", "c") == {"a": [image_id], "b": [image_id], "c": []}
    assert nothing_staged(wire)


@pytest.mark.parametrize("target", [pytest.param("qcow2", marks=pytest.mark.heavy), "vmdk"])
def test_raw_data_of_a_url_become_another_format(start: Start, tmp_path: Path, web: WebServer, target: str) -> None:
    wire = start(output_format=target)
    web.files["a"] = DISK
    image_id = wire.create()["id"]
    job = imported(wire, image_id, "web-download", ("a", "b"), web.url("files", "a"))
    assert (job.status, job.message) == (JobStatus.SUCCEEDED, "")
    shown = show(wire, image_id)
    assert (shown["disk_format"], shown["virtual_size"]) == (target, len(DISK))
    data = wire("GET", f"/v2/images/{image_id}/file").body
    assert shown["size"] == len(data) < len(DISK)
    assert back(tmp_path, target, data) == DISK
    assert sum(method == "GET" for method, *_ in web.requests) == 1
    assert nothing_staged(wire)


def test_compressed_data_are_unpacked_first(start: Start, tmp_path: Path) -> None:
    wire = start("image_decompression", "image_conversion", "inject_image_metadata", inject={"made": "here"})
    image_id = staged(wire, gzip.compress(as_format(tmp_path, "qcow2")), disk_format="qcow2")
    assert imported(wire, image_id, stores=("a",)).status is JobStatus.SUCCEEDED
    shown = show(wire, image_id)
    assert (shown["disk_format"], shown["made"]) == ("raw", "here")
    assert wire("GET", f"/v2/images/{image_id}/file").body == DISK
    assert nothing_staged(wire)


@pytest.mark.heavy
def test_in_the_order_that_is_configured(start: Start, tmp_path: Path) -> None:
    wire = start("image_conversion", "image_decompression")
    image_id = staged(wire, gzip.compress(as_format(tmp_path, "qcow2")), disk_format="qcow2")
    assert imported(wire, image_id, stores=("a", "b")).status is JobStatus.FAILED
    assert is_queued_and_clean(wire, image_id, tmp_path)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("target", "disk_format", "data"),
    [("raw", "raw", DISK), ("qcow2", "qcow2", qcow2(DISK)), ("raw", "iso", iso({"a": b"a"}))],
    ids=["raw", "qcow2", "iso"],
)
def test_what_needs_no_conversion_stays(
    start: Start, monkeypatch: pytest.MonkeyPatch, target: str, disk_format: str, data: bytes
) -> None:
    wire = start(output_format=target)
    monkeypatch.setattr("glimpse.conversion.qemu_img.run_limited", None)
    image_id = staged(wire, data, disk_format=disk_format)
    assert imported(wire, image_id, stores=("a",)).status is JobStatus.SUCCEEDED
    assert show(wire, image_id)["disk_format"] == disk_format
    assert wire("GET", f"/v2/images/{image_id}/file").body == data


@pytest.mark.heavy
def test_a_copy_is_not_converted(start: Start) -> None:
    wire = start()
    image_id = wire.create(disk_format="qcow2")["id"]
    data = qcow2(DISK)
    assert wire.upload(image_id, data).status == 204
    assert imported(wire, image_id, "copy-image", ("b",)).status is JobStatus.SUCCEEDED
    assert (show(wire, image_id)["disk_format"], show(wire, image_id)["size"]) == ("qcow2", len(data))


def large(directory: Path) -> bytes:
    target = directory / "target"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", target, str(2 * CAP)], check=True)
    data = target.read_bytes()
    target.unlink()
    return data


def damaged(directory: Path) -> bytes:
    """A qcow2 whose first data cluster is at an impossible place."""
    data = bytearray(as_format(directory, "qcow2"))
    l1_table = int.from_bytes(data[40:48], "big")
    l2_table = int.from_bytes(data[l1_table + 2 : l1_table + 8], "big")
    data[l2_table + 6 : l2_table + 8] = b"\x12\x00"
    return bytes(data)


def nested(directory: Path) -> bytes:
    source, target = directory / "source", directory / "target"
    source.write_bytes(qcow2(noise(65536)))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, target], check=True)
    data = target.read_bytes()
    source.unlink()
    target.unlink()
    return data


STREAM = ("-o", "subformat=streamOptimized")
REFUSED: list[tuple[str, str, Callable[[Path], bytes], str]] = [
    ("another format", "qcow2", lambda d: as_format(d, "vmdk"), "vmdk"),
    ("qcow2 as raw", "raw", lambda _: qcow2(DISK), "qcow2"),
    ("iso as raw", "raw", lambda _: iso({"a": b"a"}), "iso"),
    ("raw as iso", "iso", lambda _: DISK, "iso"),
    ("a backing file", "qcow2", lambda _: qcow2(DISK, backing_file=b"/etc/passwd"), "backing_file"),
    ("damaged", "qcow2", damaged, "damaged"),
    ("a qcow2 that was cut", "qcow2", lambda d: as_format(d, "qcow2")[: 900 << 10], "incomplete"),
    ("a VMDK that was cut", "vmdk", lambda d: as_format(d, "vmdk", *STREAM)[: 900 << 10], ""),
    ("a larger disk than allowed", "qcow2", large, "image_size_cap"),
    ("an image in an image", "qcow2", nested, "qcow2"),
    ("a type that is not allowed", "vmdk", lambda d: as_format(d, "vmdk"), "monolithicSparse"),
    ("a format that QEMU cannot read", "ploop", lambda _: DISK, "ploop"),
]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("disk_format", "make", "reason"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_what_is_refused(
    start: Start, tmp_path: Path, disk_format: str, make: Callable[[Path], bytes], reason: str
) -> None:
    wire = start(vmdk_types=("streamOptimized",), formats=Formats(require_image_format_match=False))
    image_id = staged(wire, make(tmp_path), disk_format=disk_format)
    job = imported(wire, image_id, stores=("a", "b"))
    assert job.status is JobStatus.FAILED
    assert reason in job.message
    assert str(tmp_path) not in job.message
    assert is_queued_and_clean(wire, image_id, tmp_path)


def test_data_of_a_url_that_are_refused(start: Start, tmp_path: Path, web: WebServer) -> None:
    wire = start()
    web.files["a"] = damaged(tmp_path)
    image_id = wire.create(disk_format="qcow2")["id"]
    job = imported(wire, image_id, "web-download", ("a", "b"), web.url("files", "a"))
    assert job.status is JobStatus.FAILED
    assert is_queued_and_clean(wire, image_id, tmp_path)


@pytest.mark.heavy
def test_a_source_that_breaks(start: Start, tmp_path: Path, web: WebServer) -> None:
    wire = start()
    web.files["a"] = as_format(tmp_path, "qcow2")
    image_id = wire.create(disk_format="qcow2")["id"]
    job = imported(wire, image_id, "web-download", ("a", "b"), web.url("cut", "a"))
    assert job.status is JobStatus.FAILED
    assert is_queued_and_clean(wire, image_id, tmp_path)


def test_a_conversion_that_takes_too_long(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = start(conversion_seconds=1)
    program = tmp_path / "qemu-img"
    real = shutil.which("qemu-img")
    program.write_text(f'#!/bin/sh\n[ "$1" = info ] && exec {real} "$@"\nexec sleep 600\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    image_id = staged(wire, qcow2(DISK), disk_format="qcow2")
    job = imported(wire, image_id, stores=("a", "b"))
    assert (job.status, job.message) == (
        JobStatus.FAILED, "The conversion takes too long: it may take 1 seconds.",
    )  # fmt: skip
    assert is_queued_and_clean(wire, image_id, tmp_path)


def test_a_cancelled_conversion(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = start()
    image_id = staged(wire, qcow2(DISK), disk_format="qcow2")
    job = begin_import(wire, image_id, stores=("a", "b"))
    monkeypatch.setattr("glimpse.jobs.steps.conversion.QemuImg.convert", _stops)
    assert run_imports(wire, job).status is JobStatus.CANCELLED
    shown = show(wire, image_id)
    assert (shown["status"], shown[M], LOCK in shown) == ("uploading", "", False)
    staging = wire.service.deps.staging
    assert ([name for name, _ in staging.images()], list(staging.unfinished())) == ([image_id], [])
    assert files(tmp_path, "a", "b", "c") == {"a": [], "b": [], "c": []}


def _stops(*arguments: object, **options: object) -> None:
    raise JobStopped


def test_files_of_a_run_that_died_go_with_the_next_one(
    start: Start, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = start()
    web.files["a"] = qcow2(DISK)
    image_id = wire.create(disk_format="qcow2")["id"]
    job = begin_import(wire, image_id, "web-download", ("a",), web.url("files", "a"))
    staging = wire.service.deps.staging
    with monkeypatch.context() as patched:
        patched.setattr("glimpse.jobs.steps.conversion.QemuImg.convert", _dies)
        patched.setattr("glimpse.jobs.steps.conversion.remove", lambda *_: None)
        run_due(wire.service.jobs)
    with wire.rows() as connection:
        let_leases_run_out(connection)
    assert len(list(staging.unfinished())) == 2
    assert run_imports(wire, job).status is JobStatus.SUCCEEDED
    assert wire("GET", f"/v2/images/{image_id}/file").body == DISK
    assert nothing_staged(wire)


def _dies(*arguments: object, **options: object) -> None:
    raise LeaseLost("as if the process had died")


@pytest.mark.heavy
def test_conversions_survive_kills_of_the_service(tmp_path: Path) -> None:
    """At random moments; no program outlives the service, and nothing is left."""
    chance = random.Random(7)
    stores, staging = tmp_path / "images", tmp_path / "staging"
    options = {
        "DEFAULT": {"enabled_backends": "a:file"},
        "glance_store": {"default_backend": "a"},
        "a": {"filesystem_store_datadir": str(stores)},
        "os_glance_staging_store": {"filesystem_store_datadir": str(staging)},
        "glimpse": {"lease_time": 2, "lease_heartbeat": 0.3, "job_interval": 0.2},
        "image_import_opts": {"image_import_plugins": "image_conversion"},
        "image_conversion": {"output_format": "qcow2"},
    }
    with Service(tmp_path / "service", options=options) as service:
        api = Api(service.port)
        disks = {}
        for number in range(4):
            disk = noise(chance.randrange(4, 12) * MIB, str(number))
            image_id = api.new(name=f"image {number}")
            assert api.call("PUT", f"/v2/images/{image_id}/stage", disk, OCTETS).status == 204
            request = json.dumps({"method": {"name": "glance-direct"}}).encode()
            assert api.call("POST", f"/v2/images/{image_id}/import", request).status == 202
            disks[image_id] = disk
            time.sleep(chance.uniform(0, 0.5))
            service.kill_group()
            assert eventually(lambda: not converters(staging), 30)
            service.start()
        assert eventually(
            lambda: not leases(service) and all(LOCK not in api.show(image_id) for image_id in disks), 120
        ), service.log[-6000:]
        for image_id, disk in disks.items():
            shown = api.show(image_id)
            assert (shown["status"], shown["disk_format"], shown["virtual_size"]) == ("active", "qcow2", len(disk))
            assert back(tmp_path, "qcow2", (stores / image_id).read_bytes()) == disk
        assert sorted(path.name for path in stores.rglob("*") if path.is_file() and path.name in disks) == sorted(disks)
        assert list(staging.iterdir()) == []


def converters(staging: Path) -> list[str]:
    """The commands of the processes that work on files of a staging area."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "qemu-img" in command and str(staging) in command:
            found.append(command)
    return found
