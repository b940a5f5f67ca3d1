"""Imports of data at URLs, from a real web server (imports-and-stores 2.11)."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from glimpse.domain.job import Job, JobStatus
from glimpse.errors import StoreFull
from glimpse.jobs.base import JobReleased
from glimpse.jobs.run import UnattendedRun
from glimpse.settings.model import DataSources, ImportPlugins, Limits, UriFilter
from glimpse.stores.base import Bytes
from glimpse.stores.filesystem.writer import FilesystemWriter
from tests.support.images.content import noise
from tests.support.images.qcow2 import qcow2
from tests.support.imports import (
    begin_import,
    files,
    imported,
    killed_while_writing,
    run_imports,
    three_stores,
    until_true,
)
from tests.support.jobs import let_leases_run_out
from tests.support.web_server import WebServer, serving
from tests.support.wire import Wire, settings_in, wired

DATA = noise(3_500_000)
M, F, LOCK = "os_glance_importing_to_stores", "os_glance_failed_import", "os_glance_import_task"
REASON = "os_glance_failed_upload"


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as made:
        made.files["a"] = DATA
        yield made


def allowed(*hosts: str) -> UriFilter:
    return UriFilter(allowed_hosts=hosts, allowed_ports=())


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Wire]:
    limits = Limits(image_size_cap=10_000_000)
    settings = settings_in(tmp_path, stores=three_stores(tmp_path), uri_filter=allowed("localhost"), limits=limits)
    with wired(settings) as wire:
        yield wire


def show(wire: Wire, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = wire("GET", f"/v2/images/{image_id}").json
    return shown


def is_queued_and_clean(wire: Wire, image_id: str, directory: Path, failed: str) -> bool:
    shown = show(wire, image_id)
    assert (shown["status"], shown["size"], shown["checksum"], shown[M], shown[F]) == ("queued", None, None, "", failed)
    assert LOCK not in shown
    assert shown[REASON]
    assert "localhost:" not in shown[REASON], "the URL may be secret"
    return files(directory, "a", "b", "c") == {"a": [], "b": [], "c": []}


def test_from_the_request_to_the_data(at: Wire, web: WebServer, tmp_path: Path) -> None:
    image_id = at.create()["id"]
    body = {"method": {"name": "web-download", "uri": web.url("files", "a")}, "stores": ["b", "a"]}
    assert at("POST", f"/v2/images/{image_id}/import", json_body=body).status == 202
    [task] = at("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
    job = at.service.deps.database.get_job(task["id"])
    assert run_imports(at, job).status is JobStatus.SUCCEEDED
    shown = show(at, image_id)
    assert (shown["status"], shown["size"], shown["stores"], shown[M], shown[F]) == ("active", len(DATA), "b,a", "", "")
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert LOCK not in shown
    assert at("GET", f"/v2/images/{image_id}/file").body == DATA
    assert files(tmp_path, "a", "b", "c") == {"a": [image_id], "b": [image_id], "c": []}
    assert sum(method == "GET" for method, *_ in web.requests) == 1, "the data are read once"


@pytest.mark.parametrize("kind", ["chunked", "broken"])
def test_without_a_length_and_with_connections_that_break(at: Wire, web: WebServer, kind: str) -> None:
    web.breaks = 1
    image_id = at.create()["id"]
    assert imported(at, image_id, "web-download", "abc", web.url(kind, "a")).status is JobStatus.SUCCEEDED
    assert at("GET", f"/v2/images/{image_id}/file").body == DATA


@pytest.mark.parametrize("path", ["status/404", "files/missing", "unmarked/a", "cut/a"])
def test_a_source_that_fails_queues_the_image_again(at: Wire, web: WebServer, tmp_path: Path, path: str) -> None:
    kind, _, name = path.partition("/")
    image_id = at.create()["id"]
    assert imported(at, image_id, "web-download", "ab", web.url(kind, name)).status is JobStatus.FAILED
    assert is_queued_and_clean(at, image_id, tmp_path, "a,b")
    assert at.upload(image_id, b"data").status == 204


def test_data_larger_than_images_may_be(at: Wire, web: WebServer, tmp_path: Path) -> None:
    web.files["large"] = bytes(10_000_001)
    for kind in ("files", "chunked"):
        image_id = at.create()["id"]
        job = imported(at, image_id, "web-download", "ab", web.url(kind, "large"))
        assert (job.status, "image_size_cap" in job.message) == (JobStatus.FAILED, True)
        assert is_queued_and_clean(at, image_id, tmp_path, "a,b")


def test_addresses_inside_are_not_asked(tmp_path: Path, web: WebServer) -> None:
    settings = settings_in(tmp_path, stores=three_stores(tmp_path), uri_filter=allowed("elsewhere.example"))
    with wired(settings) as wire:
        image_id = wire.create()["id"]
        assert imported(wire, image_id, "web-download", "ab", web.url("files", "a")).status is JobStatus.FAILED
        assert is_queued_and_clean(wire, image_id, tmp_path, "a,b")
    assert web.requests == []


def test_a_redirect_to_an_address_that_is_not_allowed_is_not_followed(at: Wire, web: WebServer, tmp_path: Path) -> None:
    image_id = at.create()["id"]
    url = f"{web.url('redirect', '302')}?to={web.url('files', 'a', host='127.0.0.1')}"
    assert imported(at, image_id, "web-download", "ab", url).status is JobStatus.FAILED
    assert is_queued_and_clean(at, image_id, tmp_path, "a,b")
    assert len(web.requests) == 1


def test_redirects_that_lead_inward_are_not_followed(at: Wire, web: WebServer, tmp_path: Path) -> None:
    inward = (
        "http://127.0.0.1/", "http://169.254.169.254/", "http://[::1]/", "http://[::ffff:7f00:1]/",
        "http://2130706433/", "http://0177.0.0.1/", "http://0x7f.1/", "file:///etc/passwd", "gopher://203.0.113.5/",
    )  # fmt: skip
    for count, url in enumerate(inward, 1):
        image_id = at.create()["id"]
        source = f"{web.url('redirect', '307')}?to={quote(url, safe='')}"
        job = imported(at, image_id, "web-download", "a", source)
        assert (job.status, job.message) == (JobStatus.FAILED, "The server redirects to a URL that is not allowed.")
        assert is_queued_and_clean(at, image_id, tmp_path, "a")
        assert len(web.requests) == count


def test_a_name_that_leads_inward_when_it_is_used(
    at: Wire, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("203.0.113.5 changing.example.org\n")
    monkeypatch.setattr("glimpse.fetch.address.HOSTS_FILE", hosts)
    settings = settings_in(tmp_path, stores=three_stores(tmp_path), uri_filter=UriFilter(allowed_ports=()))
    with wired(settings) as wire:
        image_id = wire.create()["id"]
        body = {"method": {"name": "web-download", "uri": web.url("files", "a", host="changing.example.org")}}
        assert wire("POST", f"/v2/images/{image_id}/import", json_body=body).status == 202
        hosts.write_text("127.0.0.1 changing.example.org\n")
        [task] = wire("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        job = run_imports(wire, wire.service.deps.database.get_job(task["id"]))
        assert (job.status, "no allowed address" in job.message) == (JobStatus.FAILED, True)
        assert is_queued_and_clean(wire, image_id, tmp_path, "a")
    assert web.requests == []


class TestLimits:
    """The reason of a failure names the status of the source, and the byte that was reached."""

    def failed(self, directory: Path, url: str, **limits: Any) -> str:
        sources = DataSources(**limits)
        settings = settings_in(
            directory, stores=three_stores(directory), uri_filter=allowed("localhost"), data_sources=sources
        )
        with wired(settings) as wire:
            image_id = wire.create()["id"]
            job = imported(wire, image_id, "web-download", "a", url)
            assert job.status is JobStatus.FAILED
            assert is_queued_and_clean(wire, image_id, directory, "a")
            return job.message

    def test_redirects(self, tmp_path: Path, web: WebServer) -> None:
        url = web.url("files", "a")
        for _ in range(11):
            url = f"{web.url('redirect', '302')}?to={quote(url, safe='')}"
        assert self.failed(tmp_path, url) == "The server redirects more than 10 times."
        assert len(web.requests) == 11

    def test_time(self, tmp_path: Path, web: WebServer) -> None:
        web.files["a"] = bytes(1_000_000)
        message = self.failed(tmp_path, web.url("slow", "a"), time_limit=0.3)
        assert re.fullmatch(r"The source could not be read within 0\.3 seconds; [0-9]+ bytes were read\.", message)

    def test_status(self, tmp_path: Path, web: WebServer) -> None:
        assert self.failed(tmp_path, web.url("status", "403")) == "The source answers 403 Forbidden."

    def test_the_byte_that_was_reached(self, tmp_path: Path, web: WebServer) -> None:
        message = self.failed(tmp_path, web.url("cut", "a"))
        assert "could not be read beyond byte 1166666: " in message
        assert "cannot be resumed" in message


def test_unsafe_data_are_refused(at: Wire, web: WebServer, tmp_path: Path) -> None:
    web.files["unsafe"] = qcow2(bytes(65536), backing_file=b"/etc/passwd")
    image_id = at.create(disk_format="qcow2")["id"]
    assert imported(at, image_id, "web-download", "ab", web.url("files", "unsafe")).status is JobStatus.FAILED
    assert is_queued_and_clean(at, image_id, tmp_path, "a,b")


@pytest.mark.parametrize("broken", ["b", "abc"])
def test_stores_that_fail(
    at: Wire, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    write = FilesystemWriter.write

    def fails(writer: FilesystemWriter, data: Bytes) -> None:
        if writer._target.store_id in broken:
            raise StoreFull("The store is full.")
        write(writer, data)

    monkeypatch.setattr(FilesystemWriter, "write", fails)
    image_id = at.create()["id"]
    assert imported(at, image_id, "web-download", "abc", web.url("files", "a")).status is JobStatus.FAILED
    assert is_queued_and_clean(at, image_id, tmp_path, "a,b,c")

    job = imported(at, image_id, "web-download", "abc", web.url("files", "a"), all_stores_must_succeed=False)
    if broken == "abc":
        assert job.status is JobStatus.FAILED
        assert is_queued_and_clean(at, image_id, tmp_path, "a,b,c")
    else:
        assert job.status is JobStatus.SUCCEEDED
        shown = show(at, image_id)
        assert (shown["status"], shown[M], shown[F]) == ("active", "", "b")
        # each is saved when it is done
        assert sorted(shown["stores"].split(",")) == ["a", "c"]
        assert REASON not in shown


class TestDeadProcesses:
    """What a process has received that was killed is not fetched again, if a store has it."""

    @pytest.fixture(autouse=True)
    def marks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After every batch, not every few seconds."""
        monkeypatch.setattr("glimpse.jobs.steps.import_resumption.MARK_SECONDS", 0.0)

    def killed(self, at: Wire, web: WebServer, patch: pytest.MonkeyPatch, directory: Path, kind: str = "broken") -> Job:
        image_id = at.create()["id"]
        job = begin_import(at, image_id, "web-download", "ab", web.url(kind, "a"))
        killed_while_writing(at, patch, job, 2, [directory / "a", directory / "b"])
        return job

    def is_whole(self, at: Wire, job: Job, directory: Path, data: bytes = DATA) -> bool:
        assert run_imports(at, job).status is JobStatus.SUCCEEDED
        image_id = job.image_id or ""
        shown = show(at, image_id)
        assert (shown["status"], shown["size"], shown["stores"]) == ("active", len(data), "a,b")
        assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()
        assert at("GET", f"/v2/images/{image_id}/file").body == data
        return files(directory, "a", "b", "c") == {"a": [image_id], "b": [image_id], "c": []}

    def test_only_the_rest_is_fetched(
        self, at: Wire, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = self.killed(at, web, monkeypatch, tmp_path)
        begun = [path.stat().st_size for path in (tmp_path / "a").glob(".*.partial")]
        assert self.is_whole(at, job, tmp_path)
        assert web.ranges == [None, f"bytes={begun[0]}-"]
        assert begun[0] >= 2 << 20

    def test_again_and_again(self, at: Wire, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        job = self.killed(at, web, monkeypatch, tmp_path)
        killed_while_writing(at, monkeypatch, job, 3, [tmp_path / "a", tmp_path / "b"])
        begun = [path.stat().st_size for path in (tmp_path / "a").glob(".*.partial")]
        assert self.is_whole(at, job, tmp_path)
        assert (web.ranges[-1], len(web.ranges)) == (f"bytes={begun[0]}-", 3)

    def test_other_data_are_read_from_their_beginning(
        self, at: Wire, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = self.killed(at, web, monkeypatch, tmp_path)
        web.files["a"], web.tag = other, _ = noise(3_500_000, "other"), '"v2"'
        assert self.is_whole(at, job, tmp_path, other)
        assert (len(web.ranges), web.ranges[-1]) == (3, None)

    @pytest.mark.parametrize("harm", ["damaged", "shorter", "gone"])
    def test_what_is_not_what_was_received_is_not_used(
        self, at: Wire, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
    ) -> None:
        job = self.killed(at, web, monkeypatch, tmp_path)
        for path in [*(tmp_path / "a").glob(".*.partial"), *(tmp_path / "b").glob(".*.partial")]:
            data = bytearray(path.read_bytes())
            data[7] ^= 1
            if harm == "gone":
                path.unlink()
            else:
                path.write_bytes(data if harm == "damaged" else data[:1000])
        assert self.is_whole(at, job, tmp_path)
        assert web.ranges == [None, None]

    def test_without_an_entity_tag_everything_is_fetched(
        self, at: Wire, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = self.killed(at, web, monkeypatch, tmp_path, "files")
        assert self.is_whole(at, job, tmp_path)
        assert web.ranges == [None, None]

    def test_what_a_plugin_has_made_is_not_taken_for_what_was_received(
        self, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        web.files["a"] = gzip.compress(DATA, 1)
        settings = settings_in(
            tmp_path,
            stores=three_stores(tmp_path),
            uri_filter=allowed("localhost"),
            import_plugins=ImportPlugins(names=("image_decompression",)),
        )
        with wired(settings) as wire:
            job = self.killed(wire, web, monkeypatch, tmp_path)
            assert "received" in wire.service.deps.database.get_job(job.id).steps
            assert self.is_whole(wire, job, tmp_path)
        assert web.ranges == [None, None]

    def test_a_process_that_is_stopped_leaves_what_it_has(
        self, at: Wire, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image_id = at.create()["id"]
        job = begin_import(at, image_id, "web-download", "ab", web.url("broken", "a"))
        database, ends = at.service.deps.database, threading.Event()
        claimed = database.claim_job(database.get_job(job.id), "ending", 60.0)
        assert claimed is not None
        record = UnattendedRun.record

        def ending(run: UnattendedRun, step: str, *rest: Any) -> None:
            record(run, step, *rest)
            if step == "received" and len(run.job.steps[step]["marks"]) == 2:
                ends.set()

        with monkeypatch.context() as patched:
            patched.setattr(UnattendedRun, "record", ending)
            with pytest.raises(JobReleased):
                at.service.jobs._handlers[job.type].run(UnattendedRun(database, claimed, 60.0, ends))
        until_true(lambda: any((tmp_path / "a").glob(".*.partial")), "nothing is left")
        with at.rows() as connection:
            let_leases_run_out(connection)
        assert self.is_whole(at, job, tmp_path)
        assert web.ranges[0] is None
        assert web.ranges[1]
