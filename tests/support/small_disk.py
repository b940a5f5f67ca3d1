"""Real file systems of a few MiB, for what happens when they are full."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_file_system(options: str) -> Iterator[Path]:
    """A tmpfs mounted with ``options``; the test is skipped where mounting is not allowed.

    It cannot be unmounted while a file on it is open.
    """
    # not below tmp_path, which pytest could not remove should the test be killed
    base = Path(tempfile.mkdtemp(prefix="glimpse-small-disk-"))
    place = base / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        shutil.rmtree(base)
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        unmounted = subprocess.run(["umount", place], capture_output=True, text=True, check=False)
        if unmounted.returncode:
            subprocess.run(["umount", "--lazy", place], check=True)
        shutil.rmtree(base)
    assert not unmounted.returncode, unmounted.stderr


def free_bytes(directory: Path) -> int:
    """What anybody may still write there."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
