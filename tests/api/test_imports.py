"""Imports of staged data and copies of images: the image, its stores and what is left (imports-and-stores 2.6, 2.8)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.domain.image import ImageChange, Location
from glimpse.domain.job import Job, JobStatus
from glimpse.errors import StoreFull, StoreUnavailable
from glimpse.jobs.run import UnattendedRun
from glimpse.settings.model import Limits, Quotas
from glimpse.stores.base import Bytes, Placed
from glimpse.stores.filesystem.writer import FilesystemWriter
from glimpse.transfer.fan_out import FanOut
from tests.support.images.content import noise
from tests.support.images.qcow2 import qcow2
from tests.support.imports import begin_import, files, imported, run_imports, stage, staged, three_stores
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.wire import Wire, settings_in, wired

DATA = noise(3_500_000)
UNSAFE = qcow2(bytes(65536), backing_file=b"/etc/passwd")
M, F, LOCK = "os_glance_importing_to_stores", "os_glance_failed_import", "os_glance_import_task"
REASON = "os_glance_failed_upload"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Wire]:
    """Three file stores."""
    with wired(settings_in(tmp_path, stores=three_stores(tmp_path))) as wire:
        yield wire


def show(wire: Wire, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = wire("GET", f"/v2/images/{image_id}").json
    return shown


def data_of(wire: Wire, image_id: str) -> bytes:
    return wire("GET", f"/v2/images/{image_id}/file").body


def copies(wire: Wire, image_id: str) -> dict[str, bytes]:
    """The data of each location by store, in the order of the locations."""
    stores = wire.service.deps.stores
    image = wire.service.deps.database.get_any_image(image_id)
    assert image is not None
    found: dict[str, bytes] = {}
    for location in image.locations:
        reader = stores.for_location(location).reader(location.url)
        parts: list[bytes] = []
        while part := reader.read(1 << 20):
            parts.append(part)
        reader.close()
        found[location.metadata["store"]] = b"".join(parts)
    return found


def break_store(monkeypatch: pytest.MonkeyPatch, names: str, call: str, error: Exception) -> None:
    """Let a call of the writers of some file stores fail."""
    original: Callable[..., Any] = getattr(FilesystemWriter, call)

    def broken(writer: FilesystemWriter, *arguments: Bytes) -> Placed | None:
        if writer._target.store_id in names:
            raise error
        result: Placed | None = original(writer, *arguments)
        return result

    monkeypatch.setattr(FilesystemWriter, call, broken)


def nothing_left(wire: Wire, directory: Path, *, staged_for: str | None = None) -> bool:
    left = [name for names in files(directory, "a", "b", "c").values() for name in names]
    return left == [] and [staged for staged, _ in wire.service.deps.staging.images()] == (
        [staged_for] if staged_for else []
    )


FULL = StoreFull("The store is full.")


class TestSuccess:
    def test_from_staging_to_the_data(self, at: Wire, tmp_path: Path) -> None:
        image_id = at.create()["id"]
        octets = {"Content-Type": "application/octet-stream"}
        assert at("PUT", f"/v2/images/{image_id}/stage", DATA, octets).status == 204
        body = {"method": {"name": "glance-direct"}, "all_stores": True}
        assert at("POST", f"/v2/images/{image_id}/import", json_body=body).status == 202
        job = at.service.deps.database.get_job(show(at, image_id)[LOCK])
        assert run_imports(at, job).status is JobStatus.SUCCEEDED
        assert (show(at, image_id)["status"], show(at, image_id)["stores"]) == ("active", "a,b,c")
        assert data_of(at, image_id) == DATA
        assert files(tmp_path, "a", "b", "c") == {name: [image_id] for name in "abc"}
        assert list(at.service.deps.staging.images()) == []

    @pytest.mark.parametrize("must", [True, False])
    def test_staged_data_are_written_to_all_stores(self, at: Wire, tmp_path: Path, must: bool) -> None:
        image_id = staged(at, DATA)
        job = imported(at, image_id, stores=("b", "a"), all_stores_must_succeed=must)
        assert (job.status, job.message, job.result) == (JobStatus.SUCCEEDED, "", {"image_id": image_id})
        shown = show(at, image_id)
        assert (shown["status"], shown["size"]) == ("active", len(DATA))
        assert shown["checksum"] == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
        assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
        assert (shown[M], shown[F]) == ("", "")
        assert LOCK not in shown
        assert copies(at, image_id) == {"a": DATA, "b": DATA}
        assert data_of(at, image_id) == DATA
        assert files(tmp_path, "a", "b", "c") == {"a": [image_id], "b": [image_id], "c": []}
        assert list(at.service.deps.staging.images()) == []

    def test_locations_are_in_the_order_of_the_request(self, at: Wire) -> None:
        image_id = staged(at, DATA)
        imported(at, image_id, stores=("c", "a", "b"))
        assert list(copies(at, image_id)) == ["c", "a", "b"]

    def test_with_all_stores_they_are_in_alphabetical_order(self, at: Wire) -> None:
        image_id = staged(at, DATA)
        imported(at, image_id, stores=("c", "a", "b"), all_stores=True)
        assert list(copies(at, image_id)) == ["a", "b", "c"]

    def test_one_store_without_a_name(self, tmp_path: Path) -> None:
        with wired(settings_in(tmp_path)) as wire:
            image_id = staged(wire, DATA)
            job = imported(wire, image_id)
            shown = show(wire, image_id)
            assert (job.status, shown["status"], shown[M], shown[F]) == (JobStatus.SUCCEEDED, "active", "", "")
            assert "stores" not in shown
            assert data_of(wire, image_id) == DATA

    @pytest.mark.parametrize("stores", ["a", "abc"])
    def test_no_data_make_an_image_of_size_0(self, at: Wire, stores: str) -> None:
        image_id = staged(at, b"")
        assert imported(at, image_id, stores=stores).status is JobStatus.SUCCEEDED
        shown = show(at, image_id)
        assert (shown["status"], shown["size"], shown["virtual_size"]) == ("active", 0, None)
        assert copies(at, image_id) == dict.fromkeys(stores, b"")

    def test_what_a_disk_holds_is_known(self, at: Wire) -> None:
        image_id = staged(at, qcow2(noise(65536)), disk_format="qcow2")
        imported(at, image_id, stores="ab")
        assert show(at, image_id)["virtual_size"] == 65536

    def test_an_image_is_copied_into_further_stores(self, at: Wire, tmp_path: Path) -> None:
        image_id = at.create()["id"]
        at.upload(image_id, DATA)
        before = show(at, image_id)
        assert imported(at, image_id, "copy-image", stores=("c", "b")).status is JobStatus.SUCCEEDED
        after = show(at, image_id)
        kept = ("status", "size", "checksum", "os_hash_value", "virtual_size")
        assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
        assert (after[M], after[F]) == ("", "")
        assert LOCK not in after
        assert copies(at, image_id) == {"a": DATA, "c": DATA, "b": DATA}
        assert files(tmp_path, "a", "b", "c") == {name: [image_id] for name in "abc"}

    def test_a_copy_that_cannot_be_read_is_replaced_by_another(self, at: Wire, tmp_path: Path) -> None:
        image_id = staged(at, DATA)
        imported(at, image_id, stores="ab")
        (tmp_path / "a" / image_id).unlink()
        assert imported(at, image_id, "copy-image", stores="c").status is JobStatus.SUCCEEDED
        assert show(at, image_id)["stores"] == "a,b,c"
        assert (tmp_path / "c" / image_id).read_bytes() == DATA


class TestFailingStores:
    @pytest.mark.parametrize("call", ["write", "commit"])
    def test_if_all_must_succeed_the_staged_data_are_kept(
        self, at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        image_id = staged(at, DATA)
        with monkeypatch.context() as patched:
            break_store(patched, "b", call, FULL)
            job = imported(at, image_id, stores="abc")
        assert (job.status, job.message) == (JobStatus.FAILED, "The import into b failed: The store is full.")
        shown = show(at, image_id)
        assert (shown["status"], shown["size"], shown["checksum"]) == ("uploading", len(DATA), None)
        assert (shown[M], shown[F]) == ("", "b")
        assert LOCK not in shown
        assert nothing_left(at, tmp_path, staged_for=image_id)

        assert imported(at, image_id, stores="abc").status is JobStatus.SUCCEEDED
        assert (show(at, image_id)["status"], show(at, image_id)[F]) == ("active", "")

    def test_otherwise_the_other_copies_are_kept(
        self, at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image_id = staged(at, DATA)
        with monkeypatch.context() as patched:
            break_store(patched, "b", "write", FULL)
            job = imported(at, image_id, stores="abc", all_stores_must_succeed=False)
        assert (job.status, job.message) == (JobStatus.SUCCEEDED, "The import into b failed: The store is full.")
        shown = show(at, image_id)
        assert (shown["status"], shown[M], shown[F]) == ("active", "", "b")
        assert LOCK not in shown
        assert set(copies(at, image_id)) == {"a", "c"}
        assert files(tmp_path, "b") == {"b": []}
        assert list(at.service.deps.staging.images()) == []

    def test_if_all_fail_the_image_is_queued_again(
        self, at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image_id = staged(at, DATA)
        with monkeypatch.context() as patched:
            break_store(patched, "abc", "write", FULL)
            job = imported(at, image_id, stores="abc", all_stores_must_succeed=False)
        assert job.status is JobStatus.FAILED
        shown = show(at, image_id)
        assert (shown["status"], shown["size"], shown[M], shown[F]) == ("queued", None, "", "a,b,c")
        assert "The store is full." in shown[REASON]
        assert LOCK not in shown
        assert nothing_left(at, tmp_path)
        assert at.upload(image_id, DATA).status == 204
        assert REASON not in show(at, image_id)

    @pytest.mark.parametrize(("must", "status"), [(True, JobStatus.FAILED), (False, JobStatus.SUCCEEDED)])
    def test_of_a_copy_leave_the_image_as_it_was(
        self, at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, must: bool, status: JobStatus
    ) -> None:
        image_id = at.create()["id"]
        at.upload(image_id, DATA)
        with monkeypatch.context() as patched:
            break_store(patched, "bc", "commit", FULL)
            assert imported(at, image_id, "copy-image", "bc", all_stores_must_succeed=must).status is status
        shown = show(at, image_id)
        assert (shown["status"], shown["stores"], shown[M], shown[F]) == ("active", "a", "", "b,c")
        assert LOCK not in shown
        assert files(tmp_path, "a", "b", "c") == {"a": [image_id], "b": [], "c": []}

    def test_what_is_left_in_a_store_that_stops_working_is_swept(
        self, at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image_id = staged(at, DATA)
        with monkeypatch.context() as patched:
            break_store(patched, "b", "write", StoreUnavailable("The store is down."))
            patched.setattr(FilesystemWriter, "abort", lambda _: False)
            assert imported(at, image_id, stores="abc").status is JobStatus.FAILED
        assert imported(at, image_id, stores="abc").status is JobStatus.SUCCEEDED
        assert files(tmp_path, "a", "b", "c") == {name: [image_id] for name in "abc"}


class TestRefusedData:
    @pytest.mark.parametrize("must", [True, False])
    def test_unsafe_data_are_removed_and_the_image_says_why(self, at: Wire, tmp_path: Path, must: bool) -> None:
        image_id = staged(at, UNSAFE, disk_format="qcow2")
        assert imported(at, image_id, stores="ab", all_stores_must_succeed=must).status is JobStatus.FAILED
        shown = show(at, image_id)
        assert (shown["status"], shown[M], shown[F]) == ("queued", "", "a,b")
        assert shown[REASON]
        assert LOCK not in shown
        assert nothing_left(at, tmp_path)

    def test_data_of_another_size_than_was_staged_are_not_imported(self, at: Wire, tmp_path: Path) -> None:
        image_id = staged(at, DATA)
        at.service.deps.database.update_image(image_id, ImageChange(columns={"size": 7}))
        assert imported(at, image_id, stores="ab").status is JobStatus.FAILED
        assert show(at, image_id)["status"] == "queued"
        assert nothing_left(at, tmp_path)

    def test_data_staged_on_another_node_are_waited_for(self, at: Wire) -> None:
        """A node that has a staging area of its own claims the job first, then the one that has the data."""
        image_id = staged(at, DATA)
        at.service.deps.staging.remove(image_id)
        job = begin_import(at, image_id, stores="a")
        run_due(at.service.jobs)
        waiting = at.service.deps.database.get_job(job.id)
        assert (waiting.status, show(at, image_id)["status"]) == (JobStatus.PENDING, "importing")
        assert "does not have the staged data" in waiting.message
        writer = at.service.deps.staging.writer(image_id, "again")
        writer.write(DATA)
        writer.commit()
        with at.rows() as connection:
            let_leases_run_out(connection)
        assert run_imports(at, job).status is JobStatus.SUCCEEDED
        assert show(at, image_id)["status"] == "active"

    def test_without_staged_data_the_image_is_queued_again(self, at: Wire) -> None:
        image_id = staged(at, DATA)
        at.service.deps.staging.remove(image_id)
        assert imported(at, image_id, stores="a").status is JobStatus.FAILED
        shown = show(at, image_id)
        assert (shown["status"], LOCK in shown) == ("queued", False)
        assert "stage the data again" in shown[REASON]

    def test_a_copy_with_other_data_is_not_copied(self, at: Wire, tmp_path: Path) -> None:
        image_id = at.create()["id"]
        at.upload(image_id, DATA)
        path = tmp_path / "a" / image_id
        path.chmod(0o600)
        path.write_bytes(bytes(len(DATA)))
        assert imported(at, image_id, "copy-image", stores="bc").status is JobStatus.FAILED
        shown = show(at, image_id)
        assert (shown["status"], shown["stores"], shown[F]) == ("active", "a", "b,c")
        assert files(tmp_path, "b", "c") == {"b": [], "c": []}

    def test_data_larger_than_images_may_be(self, tmp_path: Path) -> None:
        settings = settings_in(tmp_path, stores=three_stores(tmp_path), limits=Limits(image_size_cap=1000))
        with wired(settings) as wire:
            image_id = staged(wire, DATA)
            job = imported(wire, image_id, stores="ab")
            assert job.status is JobStatus.FAILED
            assert "image_size_cap" in job.message
            assert show(wire, image_id)["status"] == "uploading"
            assert nothing_left(wire, tmp_path, staged_for=image_id)


class TestQuota:
    def test_of_staged_data_is_asked_before_a_byte_is_written(self, tmp_path: Path) -> None:
        quotas = Quotas(user_storage_quota=len(DATA) * 2)
        with wired(settings_in(tmp_path, stores=three_stores(tmp_path), quotas=quotas)) as wire:
            image_id = staged(wire, DATA)
            assert imported(wire, image_id, stores="abc").status is JobStatus.FAILED
            shown = show(wire, image_id)
            assert (shown["status"], LOCK in shown) == ("uploading", False)
            assert nothing_left(wire, tmp_path, staged_for=image_id)
            assert imported(wire, image_id, stores="ab").status is JobStatus.SUCCEEDED


class TestChangesMeanwhile:
    def test_an_image_that_is_deleted_leaves_nothing(self, at: Wire, tmp_path: Path) -> None:
        image_id = staged(at, DATA)
        job = begin_import(at, image_id, stores="abc")
        assert at("DELETE", f"/v2/images/{image_id}").status == 204
        assert run_imports(at, job).status is JobStatus.CANCELLED
        assert nothing_left(at, tmp_path)

    def test_an_image_deleted_while_its_data_are_written_leaves_nothing(
        self, at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image_id = staged(at, DATA)
        commit = FilesystemWriter.commit

        def deleted(writer: FilesystemWriter) -> Placed:
            if writer._target.store_id == "a":
                with at.rows() as connection:
                    connection.exec_driver_sql(
                        f"UPDATE images SET deleted = 1, status = 'deleted' WHERE id = '{image_id}'"
                    )
            return commit(writer)

        with monkeypatch.context() as patched:
            patched.setattr(FilesystemWriter, "commit", deleted)
            assert imported(at, image_id, stores="abc").status is JobStatus.CANCELLED
        assert nothing_left(at, tmp_path)

    def test_other_formats_than_the_data_were_inspected_for(
        self, at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image_id = staged(at, DATA)
        commit = FilesystemWriter.commit

        def changed(writer: FilesystemWriter) -> Placed:
            at.service.deps.database.update_image(image_id, ImageChange(columns={"disk_format": "qcow2"}))
            return commit(writer)

        with monkeypatch.context() as patched:
            patched.setattr(FilesystemWriter, "commit", changed)
            assert imported(at, image_id, stores="ab").status is JobStatus.FAILED
        assert show(at, image_id)["status"] == "uploading"
        assert nothing_left(at, tmp_path, staged_for=image_id)

    def test_an_import_that_is_cancelled_keeps_the_staged_data(self, at: Wire, tmp_path: Path) -> None:
        image_id = staged(at, DATA)
        job = begin_import(at, image_id, stores="abc")
        with at.rows() as connection:
            connection.exec_driver_sql("UPDATE glimpse_jobs SET cancel_requested = 1")
        assert run_imports(at, job).status is JobStatus.CANCELLED
        shown = show(at, image_id)
        assert (shown["status"], LOCK in shown) == ("uploading", False)
        assert nothing_left(at, tmp_path, staged_for=image_id)

    def test_an_import_whose_lock_was_taken_over_changes_nothing(self, at: Wire, tmp_path: Path) -> None:
        image_id = staged(at, DATA)
        job = begin_import(at, image_id, stores="abc")
        at.service.deps.database.update_image(image_id, ImageChange(set_properties={LOCK: "other"}))
        assert run_imports(at, job).status is JobStatus.FAILED
        shown = show(at, image_id)
        assert (shown["status"], shown[LOCK]) == ("uploading", "other")
        assert nothing_left(at, tmp_path, staged_for=image_id)


class Killed(BaseException):
    """The process ends here."""


class TestDeadProcesses:
    """A run that stops anywhere without a clean-up, as when its process is killed; another one takes the job over."""

    @pytest.mark.parametrize("must", [True, False])
    @pytest.mark.parametrize("moment", ["write", "commit", "after commit"])
    def test_the_next_run_begins_the_pass_again(
        self, at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, must: bool
    ) -> None:
        image_id = staged(at, DATA)
        job = begin_import(at, image_id, stores="abc", all_stores_must_succeed=must)
        self.leave(at, monkeypatch, job, moment)
        if moment == "after commit":
            assert any(image_id in names for names in files(tmp_path, "a", "b", "c").values())
        assert run_imports(at, job).status is JobStatus.SUCCEEDED
        shown = show(at, image_id)
        assert (shown["status"], shown[M], shown[F]) == ("active", "", "")
        assert LOCK not in shown
        assert copies(at, image_id) == dict.fromkeys("abc", DATA)
        assert files(tmp_path, "a", "b", "c") == {name: [image_id] for name in "abc"}
        assert list(at.service.deps.staging.images()) == []

    def leave(self, wire: Wire, monkeypatch: pytest.MonkeyPatch, job: Job, moment: str) -> None:
        """Run the job until ``moment``, and leave everything as it is then."""
        write, commit = FanOut.write, FanOut.commit

        def killed_write(fan_out: FanOut, batch: bytes) -> None:
            write(fan_out, batch)
            raise Killed

        def killed_commit(fan_out: FanOut) -> Iterator[tuple[str, Placed]]:
            if moment == "after commit":
                list(commit(fan_out))
            raise Killed
            yield

        with monkeypatch.context() as patched:
            if moment == "write":
                patched.setattr(FanOut, "write", killed_write)
            else:
                patched.setattr(FanOut, "commit", killed_commit)
            patched.setattr(FanOut, "abort", lambda _: frozenset())
            patched.setattr("glimpse.jobs.steps.import_leftovers.Leftovers.clean", lambda *_: None)
            handler = wire.service.jobs._handlers[job.type]
            database = wire.service.deps.database
            claimed = database.claim_job(database.get_job(job.id), "dead", 60.0)
            assert claimed is not None
            run = UnattendedRun(database, claimed, 60.0, threading.Event())
            with pytest.raises(Killed):
                handler.run(run)
        with wire.rows() as connection:
            connection.exec_driver_sql("UPDATE glimpse_jobs SET due_at = 0 WHERE due_at IS NOT NULL")


def test_locations_that_a_failed_import_left_are_not_those_of_the_image(at: Wire) -> None:
    image_id = at.create()["id"]
    stray = Location(url=f"file:///nowhere/{image_id}", metadata={"store": "c"})
    at.service.deps.database.update_image(image_id, ImageChange(add_locations=(stray,)))
    stage(at, image_id, DATA)
    assert imported(at, image_id, stores="a").status is JobStatus.SUCCEEDED
    assert copies(at, image_id) == {"a": DATA}
