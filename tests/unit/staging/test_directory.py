"""The staging area in a directory: its layout, its guarantees, and what it refuses to follow."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from glimpse.errors import AccessDenied, DataNotFound, Duplicate, Invalid, StoreUnavailable
from glimpse.staging.directory import DirectoryStaging

ONE = "3f9a8c1e-5d0b-4b7e-9c55-0d1f2a3b4c5d"
OTHER = "aaaaaaaa-5d0b-4b7e-9c55-0d1f2a3b4c5d"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "above" / "staging"


@pytest.fixture
def area(directory: Path) -> DirectoryStaging:
    return DirectoryStaging(directory)


def stage(area: DirectoryStaging, image_id: str, data: bytes, attempt: str = "a1") -> None:
    writer = area.writer(image_id, attempt)
    writer.write(data)
    writer.commit()


def content(area: DirectoryStaging, image_id: str) -> bytes:
    reader = area.reader(image_id)
    try:
        return b"".join(iter(lambda: reader.read(1 << 20), b""))
    finally:
        reader.close()


class TestLayout:
    def test_nothing_is_created_before_it_is_needed(self, area: DirectoryStaging, directory: Path) -> None:
        assert area.size(ONE) is None
        assert area.path(ONE) is None
        assert list(area.images()) == []
        assert not area.remove(ONE)
        assert not area.sweep(ONE, "a1")
        assert not directory.parent.exists()

    def test_names_before_and_after_the_commit(self, area: DirectoryStaging, directory: Path) -> None:
        writer = area.writer(ONE, "a1")
        writer.write(b"abc")
        assert os.listdir(directory) == [f"{ONE}.a1.part"]
        assert area.size(ONE) is None
        placed = writer.commit()
        assert os.listdir(directory) == [ONE]
        assert placed.url == f"file://{directory}/{ONE}"
        assert (area.size(ONE), area.path(ONE)) == (3, directory / ONE)

    def test_only_the_service_may_read_what_is_staged(self, area: DirectoryStaging, directory: Path) -> None:
        stage(area, ONE, b"abc")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((directory / ONE).stat().st_mode) == 0o600

    def test_an_empty_set_is_not_none(self, area: DirectoryStaging) -> None:
        stage(area, ONE, b"")
        assert area.size(ONE) == 0
        assert content(area, ONE) == b""

    def test_files_of_glance_are_found(self, area: DirectoryStaging, directory: Path) -> None:
        directory.mkdir(parents=True)
        (directory / ONE).write_bytes(b"glance")
        (directory / f"{OTHER}.uc").write_bytes(b"unpacked")
        (directory / "lost+found").mkdir()
        (directory / "running-task-1").write_bytes(b"")
        assert content(area, ONE) == b"glance"
        assert sorted(image_id for image_id, _ in area.images()) == [ONE, OTHER]


class TestWriting:
    def test_a_commit_replaces_an_earlier_set(self, area: DirectoryStaging) -> None:
        stage(area, ONE, b"first, and longer")
        stage(area, ONE, b"second", "a2")
        assert content(area, ONE) == b"second"

    def test_an_abort_keeps_the_earlier_set(self, area: DirectoryStaging, directory: Path) -> None:
        stage(area, ONE, b"first")
        writer = area.writer(ONE, "a2")
        writer.write(b"second")
        assert writer.abort()
        assert writer.abort()
        assert os.listdir(directory) == [ONE]
        assert content(area, ONE) == b"first"

    def test_a_swept_writer_cannot_commit(self, area: DirectoryStaging, directory: Path) -> None:
        writer = area.writer(ONE, "a1")
        writer.write(b"abc")
        assert area.sweep(ONE, "a1")
        with pytest.raises(StoreUnavailable, match="aborted"):
            writer.commit()
        assert writer.abort()
        assert os.listdir(directory) == []

    def test_an_attempt_begins_once(self, area: DirectoryStaging) -> None:
        writer = area.writer(ONE, "a1")
        with pytest.raises(Duplicate):
            area.writer(ONE, "a1")
        writer.abort()

    def test_no_descriptor_stays_open(self, area: DirectoryStaging) -> None:
        before = len(os.listdir("/proc/self/fd"))
        stage(area, ONE, b"abc")
        area.writer(ONE, "a2").abort()
        assert content(area, ONE) == b"abc"
        with pytest.raises(DataNotFound):
            area.reader(OTHER)
        assert len(os.listdir("/proc/self/fd")) == before

    @pytest.mark.parametrize(
        ("image_id", "attempt"), [("../x", "a1"), ("", "a1"), (ONE, "../a"), (ONE, ""), (f"{ONE}\n", "a1")]
    )
    def test_names_that_are_not_ids(self, area: DirectoryStaging, image_id: str, attempt: str) -> None:
        with pytest.raises(Invalid):
            area.writer(image_id, attempt)


class TestRemoving:
    def test_everything_of_one_image(self, area: DirectoryStaging, directory: Path) -> None:
        stage(area, ONE, b"abc")
        stage(area, OTHER, b"abc")
        writer = area.writer(ONE, "a2")
        (directory / f"{ONE}.uc").write_bytes(b"unpacked")
        assert area.remove(ONE)
        assert os.listdir(directory) == [OTHER]
        assert not area.remove(ONE)
        assert writer.abort()

    def test_a_sweep_removes_one_attempt(self, area: DirectoryStaging, directory: Path) -> None:
        stage(area, ONE, b"abc")
        writers = [area.writer(ONE, "a2"), area.writer(ONE, "a3")]
        assert area.sweep(ONE, "a2")
        assert not area.sweep(ONE, "a2")
        assert sorted(os.listdir(directory)) == [ONE, f"{ONE}.a3.part"]
        for writer in writers:
            writer.abort()


class TestSymbolicLinks:
    def test_of_the_directory(self, directory: Path, area: DirectoryStaging, tmp_path: Path) -> None:
        directory.parent.mkdir()
        (tmp_path / "elsewhere").mkdir()
        directory.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(AccessDenied, match="symbolic link"):
            area.writer(ONE, "a1")
        assert os.listdir(tmp_path / "elsewhere") == []

    def test_of_complete_data(self, directory: Path, area: DirectoryStaging, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        directory.mkdir(parents=True)
        (directory / ONE).symlink_to(tmp_path / "secret")
        assert area.size(ONE) is None
        assert area.path(ONE) is None
        with pytest.raises(DataNotFound):
            area.reader(ONE)
        stage(area, ONE, b"abc")
        assert (tmp_path / "secret").read_bytes() == b"secret"
        assert content(area, ONE) == b"abc"

    def test_of_unfinished_data(self, directory: Path, area: DirectoryStaging, tmp_path: Path) -> None:
        (tmp_path / "target").write_bytes(b"kept")
        directory.mkdir(parents=True)
        (directory / f"{ONE}.a1.part").symlink_to(tmp_path / "target")
        with pytest.raises(Duplicate):
            area.writer(ONE, "a1")
        assert (tmp_path / "target").read_bytes() == b"kept"
        assert area.remove(ONE)
        assert (tmp_path / "target").read_bytes() == b"kept"
