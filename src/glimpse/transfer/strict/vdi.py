"""VirtualBox disk images: integers little endian.

VirtualBox opens the parent that a differencing image names by its UUID, and QEMU allocates the block map before it
reads it.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple
from uuid import UUID

from glimpse.transfer.strict.reading import SECTOR, End, Reading, Violation

SIGNATURE: Final = b"\x7f\x10\xda\xbe"
SIGNATURE_AT: Final = 64
_HEADER: Final = struct.Struct("<64s4sIIII256sIIIIIIIQIIII16s16s16s16s")
_VERSION: Final = 0x00010001
_DYNAMIC: Final = 1
_STATIC: Final = 2
_MIN_BLOCK: Final = 4 << 10
_MAX_BLOCK: Final = 256 << 20
_CONVERT: Final = "Convert the disk where all its files are, with qemu-img convert -O vdi, and upload the result."


class _Header(NamedTuple):
    text: bytes
    signature: bytes
    version: int
    header_bytes: int
    kind: int
    flags: int
    description: bytes
    map_at: int
    data_at: int
    cylinders: int
    heads: int
    sectors: int
    sector_bytes: int
    unused: int
    disk_bytes: int
    block_bytes: int
    block_extra: int
    blocks: int
    allocated: int
    uuid: bytes
    snapshot: bytes
    link: bytes
    parent: bytes


def read_vdi(front: bytes) -> Reading:
    """Read the header.

    :raises Violation: it names a parent, or is such that the block map cannot be trusted.
    """
    header = _Header._make(_HEADER.unpack(front[: _HEADER.size].ljust(_HEADER.size, b"\0")))
    if header.version != _VERSION:
        raise _violation("header", f"version {header.version:#x} is not supported, only 1.1")
    if any(header.link) or any(header.parent):
        parent = UUID(bytes_le=header.link if any(header.link) else header.parent)
        raise _violation("parent", f"it names the parent disk {parent}")
    if header.kind not in {_DYNAMIC, _STATIC}:
        raise _violation("parent", f"its image type is {header.kind}, neither dynamic (1) nor static (2)")
    block = header.block_bytes
    if block & (block - 1) or not _MIN_BLOCK <= block <= _MAX_BLOCK or header.block_extra:
        raise _violation("blocks", f"blocks of {block} bytes and {header.block_extra} more are not supported")
    if header.disk_bytes > header.blocks * block:
        raise _violation("blocks", f"{header.blocks} blocks of {block} bytes cannot hold {header.disk_bytes} bytes")
    return _Vdi(header.map_at + header.blocks * 4)


class _Vdi(Reading):
    """An image without a parent."""

    def __init__(self, map_end: int) -> None:
        self._map_end = map_end

    def finish(self, end: End) -> None:
        if self._map_end > end.sectors * SECTOR:
            raise _violation("blocks", "the block map is outside the data")


def _violation(check: str, reason: str) -> Violation:
    return Violation("vdi", check, reason, _CONVERT)
