"""What an upload leaves in a store that stops working is removed when the store works again."""

from __future__ import annotations

from pathlib import Path

import pytest

from glimpse.domain.job import JobQuery, JobStatus
from glimpse.domain.job_kinds import UPLOAD_SWEEP
from glimpse.errors import Unavailable
from glimpse.settings.model import StoreCalls, Stores
from glimpse.stores.base import Bytes, Listing, Placed, ability
from glimpse.stores.filesystem.writer import FilesystemWriter
from glimpse.stores.s3.writer import S3Writer
from tests.support.copies import file_store
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.relayed_s3 import relayed_s3
from tests.support.wire import Wire, settings_in, wired

MIB = 1 << 20


def sweeps(wire: Wire) -> list[JobStatus]:
    return [job.status for job in wire.service.deps.database.list_jobs(JobQuery(types=(UPLOAD_SWEEP,)))]


def settle(wire: Wire) -> None:
    with wire.rows() as connection:
        let_leases_run_out(connection)
    run_due(wire.service.jobs)


def test_in_a_directory_that_is_unmounted_before_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, away = tmp_path / "files", tmp_path / "away"
    commit = FilesystemWriter.commit

    def unmounted(writer: FilesystemWriter) -> Placed:
        directory.rename(away)
        return commit(writer)

    with wired(settings_in(tmp_path, stores=Stores(default="files", stores=(file_store(tmp_path, "files"),)))) as wire:
        image_id = wire.create()["id"]
        with monkeypatch.context() as changed:
            changed.setattr(FilesystemWriter, "commit", unmounted)
            assert wire.upload(image_id, b"data").status == 503
        assert wire("GET", f"/v2/images/{image_id}").json["status"] == "queued"
        unfinished = [path for path in away.rglob("*") if image_id in path.name]
        assert unfinished

        settle(wire)
        assert sweeps(wire) == [JobStatus.PENDING], "the store is still away"
        assert wire.upload(image_id, b"data").status == 503

        away.rename(directory)
        settle(wire)
        assert sweeps(wire) == [JobStatus.SUCCEEDED] * 2
        assert [path for path in directory.rglob("*") if image_id in path.name] == []
        assert wire.upload(image_id, b"data").status == 204
        settle(wire)
        assert wire("GET", f"/v2/images/{image_id}/file").body == b"data"


def test_of_an_upload_that_fails_for_another_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is refused while the directory is not mounted, so that the writer cannot remove its file."""
    directory, away = tmp_path / "files", tmp_path / "away"
    write = FilesystemWriter.write

    def unmounted(writer: FilesystemWriter, data: Bytes) -> None:
        write(writer, data)
        if directory.exists():
            directory.rename(away)

    with wired(settings_in(tmp_path, stores=Stores(default="files", stores=(file_store(tmp_path, "files"),)))) as wire:
        image_id = wire.create(disk_format="qcow2")["id"]
        with monkeypatch.context() as changed:
            changed.setattr(FilesystemWriter, "write", unmounted)
            assert wire.upload(image_id, b"no qcow2" * 1000).status == 415
        assert [path for path in away.rglob("*") if image_id in path.name] != []
        away.rename(directory)
        settle(wire)
        assert sweeps(wire) == [JobStatus.SUCCEEDED]
        assert [path for path in directory.rglob("*") if image_id in path.name] == []


def test_the_removal_is_recorded_before_the_upload_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies after its upload has ended, and before it records the removal, would leave the data."""
    directory, away = tmp_path / "files", tmp_path / "away"
    write = FilesystemWriter.write

    def unmounted(writer: FilesystemWriter, data: Bytes) -> None:
        write(writer, data)
        directory.rename(away)

    def dies(*_: object) -> bool:
        raise Unavailable("the process dies")

    with wired(settings_in(tmp_path, stores=Stores(default="files", stores=(file_store(tmp_path, "files"),)))) as wire:
        image_id = wire.create(disk_format="qcow2")["id"]
        with monkeypatch.context() as changed:
            changed.setattr(FilesystemWriter, "write", unmounted)
            changed.setattr(type(wire.service.deps.database), "cancel_upload", dies)
            assert wire.upload(image_id, b"no qcow2" * 1000).status == 503
        assert sweeps(wire) == [JobStatus.PENDING]
        away.rename(directory)


def test_a_refused_upload_whose_data_are_removed_is_not_swept(tmp_path: Path) -> None:
    with wired(settings_in(tmp_path, stores=Stores(default="files", stores=(file_store(tmp_path, "files"),)))) as wire:
        image_id = wire.create(disk_format="qcow2")["id"]
        assert wire.upload(image_id, b"no qcow2" * 1000).status == 415
        assert sweeps(wire) == []


def test_a_store_whose_streams_are_all_in_use_is_not_swept(tmp_path: Path) -> None:
    stores = Stores(default="files", stores=(file_store(tmp_path, "files"),), calls=StoreCalls(max_streams=1))
    with wired(settings_in(tmp_path, stores=stores)) as wire:
        other = wire.service.deps.stores.default.writer("other", None, "a1")
        assert wire.upload(wire.create()["id"], b"data").status == 503
        assert sweeps(wire) == []
        other.abort()


@pytest.mark.interop
def test_in_a_real_object_store_that_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connections to radosgw break in the middle of an upload in parts."""
    write = S3Writer.write
    with (
        relayed_s3("leftovers") as (relay, entry),
        wired(settings_in(tmp_path, stores=Stores(default="leftovers", stores=(entry,)))) as wire,
    ):
        listing = ability(wire.service.deps.stores.default, Listing)
        assert listing is not None

        def breaking(writer: S3Writer, data: Bytes) -> None:
            write(writer, data)
            if any(one.size for one in listing.objects() if one.image_id == image_id):
                relay.down()

        image_id: str = wire.create()["id"]
        with monkeypatch.context() as changed:
            changed.setattr(S3Writer, "write", breaking)
            assert wire.upload(image_id, bytes(range(256)) * (120 * MIB // 256)).status == 503
        relay.up()
        assert [one.url for one in listing.objects() if one.image_id == image_id] == [None]
        settle(wire)
        assert sweeps(wire) == [JobStatus.SUCCEEDED]
        assert [one for one in listing.objects() if one.image_id == image_id] == []
