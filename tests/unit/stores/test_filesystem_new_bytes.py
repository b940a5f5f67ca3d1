"""Bytes into which the reader of files reads directly."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from glimpse.stores.filesystem.reader import new_bytes

MIB = 1 << 20


@pytest.mark.parametrize("size", [1, 2, 255, 4097, MIB])
def test_the_system_fills_them(tmp_path: Path, size: int):
    written = os.urandom(size)
    (tmp_path / "file").write_bytes(written)
    data, buffer = new_bytes(size)
    with (tmp_path / "file").open("rb") as file:
        assert os.preadv(file.fileno(), (buffer,), 0) == size
    assert type(data) is bytes
    assert data == written
    assert hash(data) == hash(written), "no hash was computed before the bytes were complete"


def test_they_are_no_bytes_that_others_have():
    """Python has one object for each single byte: it must not be the one that is written."""
    for fill in (b"a", b"b"):
        data, buffer = new_bytes(1)
        buffer[:] = fill
        assert data == fill
    assert [bytes([code]) for code in b"ab\0"] == [b"a", b"b", b"\0"]


@pytest.mark.parametrize("size", [0, -1])
def test_nothing_is_no_size(size: int):
    with pytest.raises(ValueError, match="cannot be filled"):
        new_bytes(size)


def test_they_take_their_size_and_are_freed():
    tracemalloc.start()
    try:
        kept = [new_bytes(MIB)[0] for _ in range(3)]
        assert 3 * MIB <= tracemalloc.get_traced_memory()[0] < 3.2 * MIB
        kept.clear()
        for _ in range(10):
            new_bytes(MIB)
        assert tracemalloc.get_traced_memory()[0] < MIB
    finally:
        tracemalloc.stop()
