"""Contract of ``DeletionCheck``: a store says before a deletion what the deletion would say, and changes nothing."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from glimpse.errors import DataNotFound, DeletionDenied, ForeignLocation, StoreUnavailable
from glimpse.settings.model import UriFilter
from glimpse.stores.base import DeletionCheck, Store, ability
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore
from glimpse.stores.http import HttpOptions, HttpStore
from tests.contract.stores.rigs.base import Rig, new_id


def _check(store: Store, url: str) -> None:
    offered = ability(store, DeletionCheck)
    assert offered is not None
    offered.check_delete(url)


def test_an_object_that_can_be_deleted_stays_until_it_is(rig: Rig):
    url = rig.put(b"data")
    _check(rig.store, url)
    assert rig.get(url) == b"data"
    rig.store.delete(url)
    rig.kept.clear()


def test_an_object_that_is_not_there(rig: Rig):
    with pytest.raises(DataNotFound):
        _check(rig.store, rig.url(new_id()))


def test_locations_of_others(rig: Rig):
    for foreign in (*rig.foreign_urls, "", "image", "rbd://pool/image", "unknown:///x"):
        with pytest.raises(ForeignLocation):
            _check(rig.store, foreign)


def test_a_store_that_is_only_read():
    store = HttpStore("web", HttpOptions(), UriFilter())
    with pytest.raises(DeletionDenied, match="web is read-only"):
        _check(store, "http://example.com/image")
    with pytest.raises(ForeignLocation):
        _check(store, "file:///image")


@contextmanager
def _attribute(path: Path, letter: str) -> Iterator[None]:
    changed = subprocess.run(["chattr", f"+{letter}", path], capture_output=True, text=True, check=False)
    if changed.returncode:
        pytest.skip(f"the attribute {letter} cannot be set here: {changed.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", f"-{letter}", path], check=True)


class TestFiles:
    """What a file system refuses for good; each check is held against the deletion itself."""

    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        return tmp_path / "images"

    @pytest.fixture
    def store(self, directory: Path) -> FilesystemStore:
        return FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=str(directory)))

    @pytest.fixture
    def url(self, store: FilesystemStore, directory: Path) -> str:
        (directory / "image").write_bytes(b"data")
        return f"file://{directory}/image"

    def refused(self, store: FilesystemStore, url: str, reason: str) -> None:
        for operation in (store.check_delete, store.delete):
            with pytest.raises(DeletionDenied, match=reason):
                operation(url)
        assert store.size(url) == 4

    @pytest.mark.parametrize("letter", ["i", "a"])
    def test_a_file_with_an_attribute_that_protects_it(
        self, store: FilesystemStore, url: str, directory: Path, letter: str
    ):
        with _attribute(directory / "image", letter):
            self.refused(store, url, "Operation not permitted")

    @pytest.mark.parametrize("letter", ["i", "a"])
    def test_a_directory_with_an_attribute_that_protects_it(
        self, store: FilesystemStore, url: str, directory: Path, letter: str
    ):
        with _attribute(directory, letter):
            self.refused(store, url, "Operation not permitted|Permission denied")

    def test_a_read_only_file_system(self, small_disk: Path):
        options = FilesystemOptions(filesystem_store_datadir=str(small_disk), filesystem_store_reserve=0)
        store = FilesystemStore("cheap", options)
        (small_disk / "image").write_bytes(b"data")
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        self.refused(store, f"file://{small_disk}/image", "Read-only file system")

    @pytest.mark.parametrize("mode", [0o555, 0o1777], ids=["not writable", "sticky and of somebody else"])
    def test_a_directory_that_another_user_keeps(self, tmp_path_factory: pytest.TempPathFactory, mode: int):
        if os.geteuid():
            pytest.skip("needs root, to become another user")
        directory = _open_to_all(tmp_path_factory.mktemp("kept"))
        (directory / "image").write_bytes(b"data")
        store = FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=str(directory)))
        directory.chmod(mode)
        os.seteuid(65534)
        try:
            self.refused(store, f"file://{directory}/image", "Permission denied|Operation not permitted")
        finally:
            os.seteuid(0)

    def test_a_directory_that_is_away_is_a_passing_reason(self, store: FilesystemStore, url: str, directory: Path):
        directory.rename(directory.parent / "away")
        with pytest.raises(StoreUnavailable):
            store.check_delete(url)


def _open_to_all(directory: Path) -> Path:
    for place in (directory, *directory.parents):
        if place.stat().st_uid == 0 and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    return directory
