"""What one write costs in Python: own files executed, and calls. The whole upload has a budget of both."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import pytest

import glimpse
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore

SOURCE = os.path.dirname(glimpse.__file__)
MIB = bytes(range(256)) * 4096

T = TypeVar("T")


def _single(directory: Path) -> FilesystemOptions:
    return FilesystemOptions(filesystem_store_datadir=str(directory))


def _several(directory: Path) -> FilesystemOptions:
    lines = (f"{directory}/first:2", f"{directory}/second:1")
    return FilesystemOptions(filesystem_store_datadir="", filesystem_store_datadirs=lines)


def _thin_with_permissions(directory: Path) -> FilesystemOptions:
    return FilesystemOptions(
        filesystem_store_datadir=str(directory),
        filesystem_thin_provisioning=True,
        filesystem_store_file_perm=640,
    )


def _calls(action: Callable[[], T]) -> tuple[T, list[str]]:
    """What ``action`` returns, and the source file of each Python function that was called for it."""
    files: list[str] = []

    def note(frame: FrameType, what: str, _: Any) -> None:
        if what == "call":
            files.append(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        result = action()
    finally:
        sys.setprofile(before)
    return result, files


@pytest.mark.parametrize("options", [_single, _several, _thin_with_permissions])
def test_a_write_runs_through_two_files(tmp_path: Path, options: Callable[[Path], FilesystemOptions]):
    store = FilesystemStore("cheap", options(tmp_path))

    def put() -> str:
        writer = store.writer("image", len(MIB), "try1")
        writer.write(MIB)
        return writer.commit().url

    url, files = _calls(put)
    own = {os.path.relpath(file, SOURCE) for file in files if file.startswith(SOURCE)}
    assert own == {"stores/filesystem/store.py", "stores/filesystem/writer.py"}
    assert Path(url.removeprefix("file://")).read_bytes() == MIB


def test_a_write_takes_few_calls(tmp_path: Path):
    store = FilesystemStore("cheap", _single(tmp_path))
    writer, begun = _calls(partial(store.writer, "image", 2 * len(MIB), "try1"))
    writer.write(MIB)  # the first one looks how much space is free
    _, written = _calls(partial(writer.write, MIB))
    placed, committed = _calls(writer.commit)
    assert len(begun) <= 8, begun
    assert len(written) == 1
    assert len(committed) <= 6, committed
    assert store.size(placed.url) == 2 * len(MIB)
