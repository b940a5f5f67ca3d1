"""Staged data become the file of one store without a copy; what an import reads and writes is counted."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from glimpse.domain.job import JobStatus
from glimpse.errors import StoreFull, StoreUnavailable
from glimpse.settings.model import Imports, StoreCalls, Stores
from glimpse.stores.filesystem import store
from glimpse.stores.filesystem.writer import FilesystemWriter
from tests.support.copies import file_store
from tests.support.images.content import noise
from tests.support.imports import begin_import, files, imported, run_imports, staged, three_stores
from tests.support.needs import unavailable
from tests.support.wire import Wire, settings_in, wired

DATA = noise(8 << 20)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Wire]:
    """Three file stores on the file system of the staging area, with the wrappers that stores may have."""
    stores = msgspec.structs.replace(three_stores(tmp_path), calls=StoreCalls(max_streams=10, retries=1))
    with wired(settings_in(tmp_path, stores=stores)) as wire:
        yield wire


def traffic() -> dict[str, int]:
    """The bytes that this process has read and written with system calls so far."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return {name: int(value) for name, value in (line.split(": ") for line in lines)}


def staged_file(wire: Wire, image_id: str) -> Path:
    path = wire.service.deps.staging.path(image_id)
    assert path is not None
    return path


@pytest.mark.parametrize(("stores", "copies"), [("a", 0), ("abc", 2)])
def test_the_source_is_read_once_and_one_store_writes_nothing(at: Wire, stores: str, copies: int) -> None:
    image_id = staged(at, DATA)
    before = traffic()
    assert imported(at, image_id, stores=stores).status is JobStatus.SUCCEEDED
    moved = {name: count - before[name] for name, count in traffic().items()}
    # a twentieth of the image is for the database, logs, and other threads of the process
    assert moved["rchar"] <= 1.05 * len(DATA)
    assert moved["wchar"] <= (copies + 0.05) * len(DATA)
    assert at("GET", f"/v2/images/{image_id}/file").body == DATA


def test_the_file_is_the_one_that_was_staged_and_has_no_other_name(at: Wire, tmp_path: Path) -> None:
    ordinary = at.create()["id"]
    at("PUT", f"/v2/images/{ordinary}/file", b"data", {"Content-Type": "application/octet-stream"})
    image_id = staged(at, DATA)
    inode = staged_file(at, image_id).stat().st_ino
    imported(at, image_id, stores="abc")
    found = {name: (tmp_path / name / image_id).stat() for name in "abc"}
    assert [one.st_ino for one in found.values()].count(inode) == 1
    assert {one.st_nlink for one in found.values()} == {1}
    expected = (tmp_path / "a" / ordinary).stat()
    assert {(one.st_mode, one.st_uid, one.st_gid) for one in found.values()} == {
        (expected.st_mode, expected.st_uid, expected.st_gid)
    }
    assert files(tmp_path, "a", "b", "c") == {"a": sorted([ordinary, image_id]), "b": [image_id], "c": [image_id]}


def test_data_whose_digest_is_verified_are_adopted_too(at: Wire, tmp_path: Path) -> None:
    image_id = staged(at, DATA)
    inode = staged_file(at, image_id).stat().st_ino
    method = {"name": "glance-direct", "digest": f"sha256:{hashlib.sha256(DATA).hexdigest()}"}
    assert at("POST", f"/v2/images/{image_id}/import", json_body={"method": method, "stores": ["a"]}).status == 202
    job = at.service.deps.database.get_job(at("GET", f"/v2/images/{image_id}").json["os_glance_import_task"])
    assert run_imports(at, job).status is JobStatus.SUCCEEDED
    assert (tmp_path / "a" / image_id).stat().st_ino == inode


def test_it_has_the_permissions_of_the_configuration(tmp_path: Path) -> None:
    entry = file_store(tmp_path, "a")
    entry = msgspec.structs.replace(
        entry, options=msgspec.structs.replace(entry.options, filesystem_store_file_perm=640)
    )
    with wired(settings_in(tmp_path, stores=Stores(default="a", named=True, stores=(entry,)))) as wire:
        image_id = staged(wire, DATA)
        inode = staged_file(wire, image_id).stat().st_ino
        assert imported(wire, image_id, stores="a").status is JobStatus.SUCCEEDED
    found = (tmp_path / "a" / image_id).stat()
    assert (found.st_ino, stat.S_IMODE(found.st_mode)) == (inode, 0o640)


def test_after_a_failure_the_staged_data_are_whole_and_adopted_by_the_next_import(
    at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = staged(at, DATA)
    path = staged_file(at, image_id)
    inode = path.stat().st_ino
    with monkeypatch.context() as patch:

        def fail(_: FilesystemWriter) -> None:
            raise StoreUnavailable("The disk is away.")

        patch.setattr(FilesystemWriter, "commit", fail)
        assert imported(at, image_id, stores="a", all_stores_must_succeed=True).status is JobStatus.FAILED
    assert path.read_bytes() == DATA
    assert files(tmp_path, "a") == {"a": []}
    assert at("GET", f"/v2/images/{image_id}").json["status"] == "uploading"
    assert imported(at, image_id, stores="a").status is JobStatus.SUCCEEDED
    assert (tmp_path / "a" / image_id).stat().st_ino == inode


def test_staged_data_that_change_meanwhile_do_not_become_an_image(
    at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = staged(at, DATA)
    path = staged_file(at, image_id)
    original = FilesystemWriter.commit

    def change_and_commit(writer: FilesystemWriter) -> object:
        with path.open("r+b") as file:
            file.write(b"changed")
        os.utime(path, ns=(1, 1))
        return original(writer)

    monkeypatch.setattr(FilesystemWriter, "commit", change_and_commit)
    job = run_imports(at, begin_import(at, image_id, stores="a"))
    assert job.status is JobStatus.FAILED
    assert "staged data were changed" in job.message
    assert files(tmp_path, "a") == {"a": []}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than that of the stores."""
    for parent in map(Path, ("/dev/shm", "/var/tmp", "/run")):
        if os.access(parent, os.W_OK) and parent.stat().st_dev != tmp_path.stat().st_dev:
            with TemporaryDirectory(prefix="glimpse-", dir=parent) as made:
                yield Path(made)
            return
    unavailable("there is no second file system")


def test_on_another_file_system_they_are_copied(tmp_path: Path, elsewhere: Path) -> None:
    imports = Imports(filesystem_store_datadir=str(elsewhere / "staging"))
    with wired(settings_in(tmp_path, stores=three_stores(tmp_path), imports=imports)) as wire:
        image_id = staged(wire, DATA)
        path = staged_file(wire, image_id)
        assert path.stat().st_dev != tmp_path.stat().st_dev
        before = traffic()["wchar"]
        assert imported(wire, image_id, stores="a").status is JobStatus.SUCCEEDED
        assert traffic()["wchar"] - before >= len(DATA)
    assert not path.exists()
    assert (tmp_path / "a" / image_id).read_bytes() == DATA


@pytest.mark.parametrize("adopts", [True, False])
def test_a_store_without_room_for_a_copy_can_adopt(
    at: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adopts: bool
) -> None:
    original = store.choose_directory

    def choose(
        store_id: str, directories: tuple[store.DataDirectory, ...], size: int | None, *, thin: bool
    ) -> store.DataDirectory:
        if size is not None:
            raise StoreFull(f"Store {store_id} has no space left.")
        return original(store_id, directories, size, thin=thin)

    def refuse(*_: object) -> bool:
        return False

    monkeypatch.setattr(store, "choose_directory", choose)
    if not adopts:
        monkeypatch.setattr(FilesystemWriter, "adopt", refuse)
    image_id = staged(at, DATA)
    job = imported(at, image_id, stores="a", all_stores_must_succeed=True)
    assert job.status is (JobStatus.SUCCEEDED if adopts else JobStatus.FAILED)
    assert ("no space left" in job.message) is not adopts
    assert files(tmp_path, "a") == {"a": [image_id] if adopts else []}
