"""The stores under contract. To put a driver under it, add a function to ``RIGS``."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from glimpse.settings.model import StoreCalls
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore
from glimpse.stores.memory import MemoryOptions, MemoryStore
from glimpse.stores.timed_calls import CallTimeout
from glimpse.stores.wrap import wrapped
from glimpse.telemetry.metrics import ProcessMetrics
from tests.contract.stores.rig import Rig, open_files_below
from tests.support.small_disk import small_file_system


def _filesystem(directories: list[Path], options: FilesystemOptions) -> Rig:
    """New images go to the first directory."""
    first = directories[0]

    def leftovers() -> list[str]:
        open_files = [file for directory in directories for file in open_files_below(directory)]
        return open_files + [entry.name for directory in directories for entry in directory.iterdir()]

    store = FilesystemStore("cheap", options)
    foreign = (
        f"file://{first.parent}/elsewhere/image",
        f"file://{first}/../elsewhere/image",
        f"file://{first}/../{first.name}/image",
        f"file://{first}/sub/image",
        f"file://{first}/.hidden",
        f"file://{first}/..",
        f"file://{first}/",
        f"file://{first}\0/image",
        f"file://{first}x/image",
        "file://image",
        "file:///",
        "file:///etc/passwd",
    )
    return Rig(store, leftovers, f"file://{first}/", foreign)


def filesystem(base: Path) -> Rig:
    directory = base / "images"
    return _filesystem([directory], FilesystemOptions(filesystem_store_datadir=str(directory)))


def filesystem_several(base: Path) -> Rig:
    directories = [base / "first", base / "second", base / "third"]
    lines = (str(directories[2]), f"{directories[0]}:20", f"{directories[1]}:10")
    options = FilesystemOptions(filesystem_store_datadir="", filesystem_store_datadirs=lines)
    return _filesystem(directories, options)


def filesystem_thin(base: Path) -> Rig:
    directory = base / "images"
    options = FilesystemOptions(
        filesystem_store_datadir=str(directory), filesystem_thin_provisioning=True, filesystem_store_chunk_size=4096
    )
    return _filesystem([directory], options)


def filesystem_in_all_wrappers(base: Path) -> Rig:
    rig = filesystem(base)
    metrics = ProcessMetrics()
    calls = StoreCalls(retries=1, max_streams=100)
    return replace(rig, store=wrapped(rig.store, calls, CallTimeout(seconds=30), metrics))


def memory(base: Path) -> Rig:
    store = MemoryStore("ram", MemoryOptions(memory_store_max_bytes=64 << 20))

    def leftovers() -> list[str]:
        objects = [*store._visible.values(), *store._unfinished.values()]
        assert store._used == sum(len(found.content) for found in objects)
        return [*store._visible, *(f"{image} of {attempt}" for image, attempt in store._unfinished)]

    foreign = ("memory://other/image", "memory://ram", "memory://ram/", "memory:///image")
    return Rig(store, leftovers, "memory://ram/", foreign)


RIGS: tuple[Callable[[Path], Rig], ...] = (
    filesystem,
    filesystem_several,
    filesystem_thin,
    filesystem_in_all_wrappers,
    memory,
)


@pytest.fixture(params=RIGS, ids=lambda build: build.__name__)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A store of each driver; at the end nothing is there but what the test says."""
    rig: Rig = request.param(tmp_path)
    yield rig
    rig.store.close()
    rig.store.close()
    assert sorted(rig.leftovers()) == sorted(rig.kept)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A real file system of 8 MiB, where mounting is allowed. It cannot be unmounted while a file on it is open."""
    with small_file_system("size=8m,nr_inodes=64") as place:
        yield place
