"""How data are cut for Ceph: writes into pieces of one size, at multiples of it, without their zeros."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from glimpse.stores.base import Bytes

#: Bytes of one write. The size of an object is a multiple of it.
PIECE: Final = 1 << 20

#: Zeros are left out in blocks of this size, aligned in the image.
BLOCK: Final = 64 << 10
_ZEROS: Final = bytes(BLOCK)


class Gatherer:
    """Gathers data into pieces. Pieces of unchanged ``bytes`` are not copied."""

    def __init__(self) -> None:
        #: bytes that :meth:`pieces` took
        self.position = 0
        self._parts: list[bytes | memoryview] = []
        self._gathered = 0

    def pieces(self, data: Bytes) -> Iterator[tuple[int, bytes]]:
        """Take ``data`` and yield the offset and content of each piece that is complete."""
        if isinstance(data, bytes) and len(data) == PIECE and not self._gathered:
            self.position += PIECE
            yield self.position - PIECE, data
            return
        # a part that stays here must not change when the caller reuses the buffer
        view = memoryview(data if isinstance(data, bytes) else bytes(data))
        start = 0
        while start < len(view):
            part = view[start : start + PIECE - self._gathered]
            self._parts.append(part)
            self._gathered += len(part)
            self.position += len(part)
            start += len(part)
            if self._gathered == PIECE:
                yield self._joined()

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """Yield the last piece if data are left; it may be shorter."""
        if self._gathered:
            yield self._joined()

    def _joined(self) -> tuple[int, bytes]:
        piece = (self.position - self._gathered, b"".join(self._parts))
        self._parts.clear()
        self._gathered = 0
        return piece


def data_runs(piece: bytes) -> list[tuple[int, int]]:
    """Return the parts of ``piece`` that are not zeros, as (start, end), in whole blocks; the last may be shorter."""
    view = memoryview(piece)
    runs: list[tuple[int, int]] = []
    for start in range(0, len(view), BLOCK):
        end = min(start + BLOCK, len(view))
        # the comparison is one memcmp, which stops at the first byte that differs
        if _ZEROS.startswith(view[start:end]):
            continue
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs
