"""What happens when a sweep, another attempt or an error falls into the very middle of a commit.

A child process stops inside the commit with an audit hook of the interpreter, which is called before a system call is
made, does there what another process could do at that moment, and lets the commit go on.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore

_CHILD = """
import errno, os, sys
from glimpse.errors import GlimpseError
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore

directory, event, path, then = sys.argv[1:]
store = FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=directory))
writer = store.writer("image", None, "try1")
writer.write(b"data of the first")
armed = True

def at_the_moment(name, arguments):
    global armed
    if armed and name == event and str(arguments[0]) == path:
        armed = False
        exec(then)

sys.addaudithook(at_the_moment)
try:
    writer.commit()
    outcome = "committed"
except GlimpseError as error:
    outcome = type(error).__name__
print(outcome, "too early" if armed else "in time")
writer.abort()
writer.abort()
"""

_REMOVAL = "os.remove"
_LINK = "os.link"
_DIRECTORY_SYNC = "open"

_SWEEP = "store.sweep('image', 'try1')"
_FIRST_HALF_OF_A_SWEEP = "os.unlink(directory + '/.image.try1.partial')"
_SWEEP_AND_NEXT_ATTEMPT = (
    f"{_SWEEP}\nother = store.writer('image', None, 'try2')\nother.write(b'data of the second')\nother.commit()"
)
_ERROR = "raise OSError(errno.EIO, 'Input/output error')"


def _commit(directory: Path, event: str, name: str, then: str) -> str:
    path = f"{directory}/{name}" if name else str(directory)
    command = [sys.executable, "-c", _CHILD, directory, event, path, then]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("event", [_LINK, _REMOVAL])
@pytest.mark.parametrize("then", [_SWEEP, _FIRST_HALF_OF_A_SWEEP])
def test_a_sweep_in_the_middle_ends_the_commit_and_nothing_stays(tmp_path: Path, event: str, then: str):
    assert _commit(tmp_path, event, ".image.try1.partial", then) == "StoreUnavailable in time"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("event", [_LINK, _REMOVAL])
def test_the_next_attempt_survives_the_one_that_woke_up(tmp_path: Path, event: str):
    outcome = _commit(tmp_path, event, ".image.try1.partial", _SWEEP_AND_NEXT_ATTEMPT)
    assert outcome == "StoreUnavailable in time"
    assert os.listdir(tmp_path) == ["image"]
    assert (tmp_path / "image").read_bytes() == b"data of the second"


def test_an_error_of_the_last_sync_takes_the_image_back(tmp_path: Path):
    assert _commit(tmp_path, _DIRECTORY_SYNC, "", _ERROR) == "StoreUnavailable in time"
    assert os.listdir(tmp_path) == []


def test_an_error_of_the_last_sync_spares_the_next_attempt(tmp_path: Path):
    outcome = _commit(tmp_path, _DIRECTORY_SYNC, "", f"{_SWEEP_AND_NEXT_ATTEMPT}\n{_ERROR}")
    assert outcome == "StoreUnavailable in time"
    assert (tmp_path / "image").read_bytes() == b"data of the second"
    store = FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=str(tmp_path)))
    assert store.sweep("image", "try2") is True
    assert os.listdir(tmp_path) == []


def test_where_hard_links_are_refused_the_commit_renames(tmp_path: Path):
    refused = "raise OSError(errno.EPERM, 'Operation not permitted')"
    assert _commit(tmp_path, _LINK, ".image.try1.partial", refused) == "committed in time"
    assert os.listdir(tmp_path) == ["image"]
    assert (tmp_path / "image").read_bytes() == b"data of the first"
