"""Fixed VHD images: a raw disk followed by one sector, the footer (Microsoft, Virtual Hard Disk Image Format).

They begin like raw disks, and QEMU's probe treats them as such. Integers are big endian.
"""

from __future__ import annotations

import struct
from typing import Final

FOOTER_BYTES: Final = 512
_FOOTER: Final = struct.Struct(">8s4xIQ24xQ4xII")
_COOKIE: Final = b"conectix"
_MAJOR_VERSION: Final = 1
_FIXED: Final = 2
_NO_OFFSET: Final = 0xFFFFFFFFFFFFFFFF
_CHECKSUM_AT: Final = 64


def disk_bytes(tail: bytes, size: int) -> int | None:
    """Return the size of the disk in a fixed VHD of ``size`` bytes that ends with ``tail``; None if it is not one.

    The footer must be valid, of type fixed, and contain the size of the data.
    """
    footer = tail[-FOOTER_BYTES:]
    if len(footer) < FOOTER_BYTES:
        return None
    cookie, version, offset, disk, kind, checksum = _FOOTER.unpack_from(footer)
    if cookie != _COOKIE or version >> 16 != _MAJOR_VERSION or kind != _FIXED or offset != _NO_OFFSET:
        return None
    summed = sum(footer) - sum(footer[_CHECKSUM_AT : _CHECKSUM_AT + 4])
    if checksum != ~summed & 0xFFFFFFFF or disk != size - FOOTER_BYTES:
        return None
    return disk
