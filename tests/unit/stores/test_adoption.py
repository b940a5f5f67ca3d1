"""Adoption of a file by the filesystem store: when it is refused, and a kill at every moment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glimpse.errors import Duplicate
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore

DATA = bytes(range(256)) * 512


def _store(directory: Path, **options: object) -> FilesystemStore:
    (directory / "store").mkdir(exist_ok=True)
    return FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=f"{directory}/store", **options))


def _staged(directory: Path) -> Path:
    path = directory / "staged"
    path.write_bytes(DATA)
    path.chmod(0o600)
    return path


def _put(store: FilesystemStore, path: Path) -> bool:
    """Store the data of a file, and return whether it was adopted."""
    with path.open("rb") as file:
        writer = store.writer("image", len(DATA), "try1")
        adopted = writer.adopt(file.fileno())
        writer.write(DATA)
        writer.commit()
    assert (path.parent / "store" / "image").read_bytes() == DATA
    assert path.read_bytes() == DATA
    return adopted


def test_a_file_of_the_same_file_system_is_adopted(tmp_path: Path):
    path = _staged(tmp_path)
    assert _put(_store(tmp_path), path)
    assert path.samefile(tmp_path / "store" / "image")


def test_a_store_with_thin_provisioning_writes_its_own(tmp_path: Path):
    assert not _put(_store(tmp_path, filesystem_thin_provisioning=True), _staged(tmp_path))


def test_a_file_with_another_label_is_copied(tmp_path: Path):
    path = _staged(tmp_path)
    os.setxattr(path, "user.label", b"of staging")
    assert not _put(_store(tmp_path), path)


def test_a_file_without_a_name_is_copied(tmp_path: Path):
    path = _staged(tmp_path)
    with path.open("rb") as file:
        path.unlink()
        writer = _store(tmp_path).writer("image", len(DATA), "try1")
        assert not writer.adopt(file.fileno())
        writer.write(DATA)
        writer.commit()
    assert (tmp_path / "store" / "image").read_bytes() == DATA


def test_an_image_that_exists_is_not_replaced(tmp_path: Path):
    path, store = _staged(tmp_path), _store(tmp_path)
    with path.open("rb") as file:
        writer = store.writer("image", len(DATA), "try1")
        assert writer.adopt(file.fileno())
        writer.write(DATA)
        (tmp_path / "store" / "image").write_bytes(b"there before")
        with pytest.raises(Duplicate):
            writer.commit()
        assert writer.abort()
    assert (tmp_path / "store" / "image").read_bytes() == b"there before"
    assert path.read_bytes() == DATA
    assert path.stat().st_nlink == 1


def test_a_file_of_another_attempt_is_copied_until_that_gives_it_back(tmp_path: Path):
    path, store = _staged(tmp_path), _store(tmp_path)
    with path.open("rb") as file:
        first = store.writer("image", len(DATA), "try0")
        assert first.adopt(file.fileno())
        second = store.writer("image", len(DATA), "try2")
        assert not second.adopt(file.fileno())
        assert first.abort()
        assert second.abort()
    assert _put(store, path)


def test_a_swept_writer_cannot_publish(tmp_path: Path):
    path, store = _staged(tmp_path), _store(tmp_path)
    with path.open("rb") as file:
        writer = store.writer("image", len(DATA), "try1")
        assert writer.adopt(file.fileno())
        writer.write(DATA)
        assert store.sweep("image", "try1")
        with pytest.raises(Exception, match="aborted meanwhile"):
            writer.commit()
        assert writer.abort()
    assert sorted(os.listdir(tmp_path / "store")) == []
    assert path.read_bytes() == DATA


#: Kills an attempt in a child process before its system call number 0, 1, …, until one reaches its end; after each, or
#: meanwhile, a second attempt must get the data whole. Prints how many attempts there were.
_CHILD = """
import errno, os, signal, sys
from glimpse.errors import GlimpseError
from glimpse.stores.filesystem.options import FilesystemOptions
from glimpse.stores.filesystem.store import FilesystemStore

directory, path, then = sys.argv[1:]
data = open(path, "rb").read()
store = FilesystemStore("cheap", FilesystemOptions(filesystem_store_datadir=directory))

def put(attempt):
    with open(path, "rb") as file:
        writer = store.writer("image", len(data), attempt)
        try:
            writer.adopt(file.fileno())
            writer.write(data)
            writer.commit()
        except BaseException:
            writer.abort()
            raise

def next_attempt():
    store.sweep("image", "try1")
    put("try2")

def first(moment):
    left = moment

    def hook(name, arguments):
        nonlocal left
        if left >= 0 and name in ("open", "os.link", "os.remove", "os.setxattr", "os.chmod", "os.listxattr"):
            left -= 1
            if left == -1:
                if then == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                next_attempt()

    sys.addaudithook(hook)
    try:
        put("try1")
    except GlimpseError:
        assert then == "stall"
    os._exit(0 if left >= 0 else 3)

attempts = 0
over = False
while not over:
    child = os.fork()
    if child == 0:
        first(attempts)
    status = os.waitpid(child, 0)[1]
    attempts += 1
    over = status == 0
    if os.WIFSIGNALED(status):
        next_attempt()
    else:
        assert status in (0, 3 << 8), status
    assert os.listdir(directory) == ["image"], os.listdir(directory)
    for name in (f"{directory}/image", path):
        with open(name, "rb") as file:
            assert file.read() == data, name
    assert store.sweep("image", "try1" if over else "try2")
    assert os.listdir(directory) == []
print(attempts)
"""


@pytest.mark.parametrize("then", ["kill", "stall"])
def test_no_moment_of_an_attempt_harms_the_file_or_the_next_attempt(tmp_path: Path, then: str):
    path = _staged(tmp_path)
    (tmp_path / "store").mkdir()
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "store"), str(path), then]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8
    assert path.read_bytes() == DATA
