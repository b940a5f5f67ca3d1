"""Filesystem stores: in one directory, in several, thin, and in all wrappers."""

from dataclasses import replace
from pathlib import Path

from glimpse.settings.model import StoreCalls
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore
from glimpse.stores.timed_calls import CallTimeout
from glimpse.stores.wrap import wrapped
from glimpse.telemetry.metrics import ProcessMetrics
from tests.contract.stores.rigs.base import Rig, open_files_below


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


RIGS = (filesystem, filesystem_several, filesystem_thin, filesystem_in_all_wrappers)
