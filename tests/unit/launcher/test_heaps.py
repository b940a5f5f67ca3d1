"""Threads of a service share two heaps of the C library."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, sys, threading
from glimpse.launcher.heaps import limit_heaps

limit_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
ready = threading.Barrier(9)

def take():
    libc.malloc(1000)
    ready.wait()
    ready.wait()

for _ in range(8):
    threading.Thread(target=take, daemon=True).start()
ready.wait()
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
ready.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the C library glibc has these heaps")
@pytest.mark.parametrize(("chosen", "expected"), [({}, 2), ({"MALLOC_ARENA_MAX": "4"}, 4)])
def test_number_of_heaps(tmp_path: Path, chosen: dict[str, str], expected: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    found = tmp_path / "heaps"
    subprocess.run([sys.executable, "-c", PROGRAM, str(found)], check=True, timeout=60, env={**environment, **chosen})
    assert found.read_text().count("<heap ") == expected
