"""VHD images (Microsoft, Virtual Hard Disk Image Format): all integers are big endian.

Hyper-V, VirtualBox and XenServer open the parent of a differencing disk; some readers take the copy of the footer at
the front, others the footer at the end. So both must say the same, and nothing of a parent.
"""

from __future__ import annotations

import struct
from typing import Final

from glimpse.transfer.strict.reading import SECTOR, End, Reading, Violation

COOKIE: Final = b"conectix"
_TYPE_AT: Final = 60
_FIXED: Final = 2
_DYNAMIC: Final = 3
_SPARSE_HEADER: Final = struct.Struct(">8sQQIIII16sI4x512s192s256x")
_MIN_BLOCK: Final = 4 << 10
_MAX_BLOCK: Final = 256 << 20
_CONVERT: Final = "Convert the disk where all its files are, with qemu-img convert -O vpc, and upload the result."


def read_vhd(front: bytes) -> Reading:
    """Read the copy of the footer at the front, and the header of a dynamic disk.

    :raises Violation: it is a differencing disk, or no dynamic one.
    """
    footer = front[:SECTOR].ljust(SECTOR, b"\0")
    _check_type(footer, {_DYNAMIC})
    (at,) = struct.unpack_from(">Q", footer, 16)
    encoded = front[at : at + _SPARSE_HEADER.size]
    if len(encoded) < _SPARSE_HEADER.size:
        raise _violation("header", "the header of the dynamic disk is not at the start of the data")
    cookie, _, table, _, entries, block, _, parent, _, parent_name, locators = _SPARSE_HEADER.unpack(encoded)
    if cookie != b"cxsparse":
        raise _violation("header", "the header of the dynamic disk is missing")
    if any(parent) or any(parent_name) or any(locators):
        raise _violation("parent", "the header names a parent disk")
    if block & (block - 1) or not _MIN_BLOCK <= block <= _MAX_BLOCK:
        raise _violation("table", f"blocks of {block} bytes are not supported")
    return _Dynamic(footer, table + entries * 4)


def check_last_footer(tail: bytes) -> None:
    """Check the footer that may end data of any format.

    :raises Violation: it is that of a differencing disk, or of a dynamic disk without a front.
    """
    at = tail.rfind(COOKIE)
    if at >= 0:
        _check_type(tail[at:].ljust(SECTOR, b"\0"), {_FIXED})


def _check_type(footer: bytes, allowed: set[int]) -> None:
    (kind,) = struct.unpack_from(">I", footer, _TYPE_AT)
    if kind not in allowed:
        reason = "it is a differencing disk" if kind == 4 else f"the footer has the unknown type {kind}"
        raise _violation("parent" if kind == 4 else "footer", reason)


class _Dynamic(Reading):
    """A dynamic disk without a parent."""

    def __init__(self, footer: bytes, table_end: int) -> None:
        self._footer = footer
        self._table_end = table_end

    def finish(self, end: End) -> None:
        if end.tail[-SECTOR:] != self._footer:
            raise _violation("footer", "the footer at the end differs from its copy at the start")
        if self._table_end > end.size:
            raise _violation("table", "the block allocation table is outside the data")


def _violation(check: str, reason: str) -> Violation:
    return Violation("vhd", check, reason, _CONVERT)
