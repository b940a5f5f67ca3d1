"""Stores that run full, for real: a file system of 8 MiB, and a memory store of 64 MiB."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from glimpse.errors import StoreFull
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore
from glimpse.stores.memory import MemoryOptions, MemoryStore
from tests.contract.stores.rigs.base import new_id
from tests.support.images.content import noise

MIB = 1 << 20


def _on(directory: Path, *, thin: bool = False, reserve: int = 0) -> FilesystemStore:
    options = FilesystemOptions(
        filesystem_store_datadir=str(directory),
        filesystem_thin_provisioning=thin,
        filesystem_store_reserve=reserve,
    )
    return FilesystemStore("small", options)


@pytest.mark.parametrize("thin", [False, True])
def test_a_disk_that_runs_full_while_writing(small_disk: Path, thin: bool):
    store = _on(small_disk, thin=thin)
    writer = store.writer(new_id(), None, "try1")
    block = noise(MIB)
    for _ in range(7):
        writer.write(block)
    with pytest.raises(StoreFull) as caught:
        writer.write(block + block)
    assert str(small_disk) not in str(caught.value)
    writer.abort()
    assert os.listdir(small_disk) == []
    _fill_and_delete(store, 6 * MIB)


@pytest.mark.parametrize("thin", [False, True])
def test_the_reserve_stays_free_whatever_is_written(small_disk: Path, thin: bool):
    store = _on(small_disk, thin=thin, reserve=3 * MIB)
    writer = store.writer(new_id(), None, "try1")
    block = noise(256 << 10)

    def write_on() -> None:
        for _ in range(64):
            writer.write(block)

    with pytest.raises(StoreFull, match="no space left"):
        write_on()
    assert 3 * MIB <= _free(small_disk) <= 4 * MIB
    with pytest.raises(StoreFull):
        store.writer(new_id(), 2 * MIB, "try2")
    writer.abort()
    if not thin:  # of holes nobody knows how many come
        with pytest.raises(StoreFull):
            store.writer(new_id(), 6 * MIB, "try3")
    _fill_and_delete(store, 4 * MIB)
    assert os.listdir(small_disk) == []


def test_holes_take_nothing_of_the_reserve(small_disk: Path):
    store = _on(small_disk, thin=True, reserve=3 * MIB)
    writer = store.writer(new_id(), 64 * MIB, "try1")
    for _ in range(64):
        writer.write(bytes(MIB))
    store.delete(writer.commit().url)


def test_a_size_that_cannot_fit_is_refused_at_once(small_disk: Path):
    store = _on(small_disk)
    with pytest.raises(StoreFull):
        store.writer(new_id(), 9 * MIB, "try1")
    assert os.listdir(small_disk) == []
    _fill_and_delete(store, 6 * MIB)


def test_a_disk_that_is_full_takes_nothing_of_unknown_size(small_disk: Path):
    store = _on(small_disk)
    (small_disk / "filler").write_bytes(bytes(_free(small_disk)))
    with pytest.raises(StoreFull):
        store.writer(new_id(), None, "try1")
    assert os.listdir(small_disk) == ["filler"]


def test_a_disk_without_inodes_takes_no_image(small_disk: Path):
    store = _on(small_disk)
    for number in range(os.statvfs(small_disk).f_favail):
        (small_disk / f"filler{number}").touch()
    before = sorted(os.listdir(small_disk))
    with pytest.raises(StoreFull):
        store.writer(new_id(), 5, "try1")
    assert sorted(os.listdir(small_disk)) == before


def test_thin_provisioning_takes_an_image_larger_than_the_disk(small_disk: Path):
    store = _on(small_disk, thin=True)
    image_id = new_id()
    writer = store.writer(image_id, 64 * MIB, "try1")
    writer.write(noise(MIB))
    for _ in range(63):
        writer.write(bytes(MIB))
    placed = writer.commit()
    assert store.size(placed.url) == 64 * MIB
    assert (small_disk / image_id).stat().st_blocks * 512 <= 2 * MIB
    store.delete(placed.url)
    assert os.listdir(small_disk) == []


def test_the_second_directory_takes_what_the_first_cannot(small_disk: Path, tmp_path: Path):
    large = tmp_path / "large"
    store = FilesystemStore(
        "both",
        FilesystemOptions(
            filesystem_store_datadir="",
            filesystem_store_datadirs=(f"{small_disk}:100", f"{large}:1"),
            filesystem_store_reserve=0,
        ),
    )
    small_id, large_id = new_id(), new_id()
    for image_id, size in ((small_id, MIB), (large_id, 9 * MIB)):
        writer = store.writer(image_id, size, "try1")
        writer.write(bytes(size))
        writer.commit()
    assert os.listdir(small_disk) == [small_id]
    assert os.listdir(large) == [large_id]


def test_a_file_that_grows_beyond_what_the_process_may_write(tmp_path: Path):
    store = _on(tmp_path)
    writer = store.writer(new_id(), None, "try1")
    with _largest_file(MIB), pytest.raises(StoreFull):
        # the kernel takes the first half, then refuses
        writer.write(noise(2 * MIB))
    writer.abort()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("announced", [None, 5 * MIB])
def test_a_memory_store_that_is_full(announced: int | None):
    store = MemoryStore("ram", MemoryOptions(memory_store_max_bytes=8 * MIB))
    first = store.writer(new_id(), 4 * MIB, "try1")
    first.write(bytes(4 * MIB))

    def second() -> None:
        writer = store.writer(new_id(), announced, "try1")
        try:
            writer.write(bytes(5 * MIB))
        finally:
            writer.abort()

    with pytest.raises(StoreFull):
        second()
    first.abort()
    _fill_and_delete(store, 8 * MIB)


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _fill_and_delete(store: FilesystemStore | MemoryStore, size: int) -> None:
    """What a failed write had taken is free again."""
    writer = store.writer(new_id(), size, "try1")
    writer.write(noise(size))
    store.delete(writer.commit().url)
