"""Contract of ``Listing``: everything that is there, and nothing else."""

import time
from pathlib import Path

import pytest

from glimpse.errors import StoreUnavailable
from glimpse.stores.base import Listing, StoredObject, ability
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore
from tests.contract.stores.rigs.base import Rig, eventually, new_id


def _listed(rig: Rig) -> list[StoredObject]:
    listing = ability(rig.store, Listing)
    assert listing is not None
    return sorted(listing.objects(), key=lambda found: found.image_id)


def test_an_empty_store(rig: Rig):
    assert _listed(rig) == []


def test_objects_and_unfinished_data(rig: Rig):
    before = time.time() - 2
    sizes = {new_id(): size for size in (0, 1, 5000)}
    urls = {image_id: rig.put(bytes(size), image_id) for image_id, size in sizes.items()}
    gone = rig.put(b"gone", gone_id := new_id())
    rig.store.delete(gone)
    rig.kept.remove(gone_id)
    unfinished_id = new_id()
    writer = rig.begin(unfinished_id, b"half", attempt="try7")
    eventually(lambda: {one.image_id for one in _listed(rig)}, {*sizes, unfinished_id}, rig.settles)
    found = {one.image_id: one for one in _listed(rig)}
    for image_id, size in sizes.items():
        assert (found[image_id].url, found[image_id].size, found[image_id].attempt) == (urls[image_id], size, None)
    unfinished = found[unfinished_id]
    size = 0 if rig.buffers else max(4, rig.unit)
    assert (unfinished.url, unfinished.size, unfinished.attempt) == (None, size, "try7")
    assert all(before <= one.modified_at <= time.time() + 2 for one in found.values())
    assert rig.store.sweep(unfinished_id, "try7") is True
    eventually(lambda: {one.image_id for one in _listed(rig)}, {*sizes}, rig.settles)
    writer.abort()


def test_files_that_are_not_images(tmp_path: Path):
    (tmp_path / "image").write_bytes(b"data")
    (tmp_path / ".glimpse-store").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "with space").touch()
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "image")
    store = FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=str(tmp_path)))
    assert [one.url for one in store.objects()] == [f"file://{tmp_path}/image"]


def test_a_directory_that_is_away_is_not_an_empty_one(tmp_path: Path):
    directory = tmp_path / "images"
    store = FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=str(directory)))
    directory.rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable):
        list(store.objects())
