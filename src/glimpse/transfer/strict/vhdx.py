"""VHDX images (Microsoft, MS-VHDX): integers little endian, regions aligned to 1 MiB.

A reader replays the log before it looks at anything, and the log may write a parent into the metadata: it must be
empty. Both copies of the region table must agree, because readers take either.
"""

from __future__ import annotations

import struct
from typing import Final
from uuid import UUID

from glimpse.transfer.strict.reading import End, Reading, Violation

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_HEADERS_AT: Final = (64 * _KIB, 128 * _KIB)
_LOG_GUID_AT: Final = 48
_TABLES_AT: Final = (192 * _KIB, 256 * _KIB)
_TABLE_BYTES: Final = 64 * _KIB
_ENTRY: Final = struct.Struct("<16sQII")
_MAX_ENTRIES: Final = 2047
_BLOCKS_REGION: Final = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
_METADATA_REGION: Final = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_ITEM: Final = struct.Struct("<16sIII4x")
_FILE_PARAMETERS: Final = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_PARENT_LOCATOR: Final = UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
_HAS_PARENT: Final = 1 << 1
_METADATA_BYTES: Final = _MIB
_CONVERT: Final = "Convert the disk where all its files are, with qemu-img convert -O vhdx, and upload the result."
_CLOSE: Final = "Shut down the machine that uses the disk, or convert the disk with qemu-img convert -O vhdx."


def read_vhdx(front: bytes) -> Reading:
    """Read headers and region tables.

    :raises Violation: the log is not empty, or the regions are not where they must be.
    """
    for at in _HEADERS_AT:
        header = front[at : at + 4 * _KIB]
        if header.startswith(b"head") and any(header[_LOG_GUID_AT : _LOG_GUID_AT + 16]):
            raise _violation("log", "the log is not empty: a reader would have to replay it first", _CLOSE)
    tables = [front[at : at + _TABLE_BYTES] for at in _TABLES_AT]
    if tables[0] != tables[1]:
        raise _violation("regions", "the two region tables differ")
    regions = _regions(tables[0])
    if _METADATA_REGION not in regions or _BLOCKS_REGION not in regions:
        raise _violation("regions", "the region table lacks the metadata or the block allocation table")
    return _Vhdx(regions[_METADATA_REGION], sum(regions[_BLOCKS_REGION]))


def _regions(table: bytes) -> dict[bytes, tuple[int, int]]:
    """Offset and length of each region by its identifier."""
    if len(table) < _TABLE_BYTES or not table.startswith(b"regi"):
        raise _violation("regions", "there is no region table")
    (number,) = struct.unpack_from("<I", table, 8)
    if number > _MAX_ENTRIES:
        raise _violation("regions", f"a region table cannot have {number} entries")
    regions: dict[bytes, tuple[int, int]] = {}
    for index in range(number):
        identifier, offset, length, _ = _ENTRY.unpack_from(table, 16 + index * _ENTRY.size)
        if identifier in regions:
            raise _violation("regions", "a region is in the table twice")
        if offset < _MIB:
            raise _violation("regions", "a region begins before the first MiB ends")
        regions[identifier] = (offset, length)
    return regions


class _Vhdx(Reading):
    """An image with an empty log; whether it has a parent stands in the metadata."""

    def __init__(self, metadata: tuple[int, int], blocks_end: int) -> None:
        self.wanted = (metadata[0], min(metadata[1], _METADATA_BYTES))
        self._blocks_end = blocks_end

    def finish(self, end: End) -> None:
        if self._blocks_end > end.size:
            raise _violation("regions", "the block allocation table is outside the data")
        _check_metadata(end.region)


def _check_metadata(region: bytes) -> None:
    if not region.startswith(b"metadata") or len(region) < 2 * _ITEM.size:
        raise _violation("metadata", "there is no metadata table")
    (number,) = struct.unpack_from("<H", region, 10)
    if number > _MAX_ENTRIES or len(region) < (number + 1) * _ITEM.size:
        raise _violation("metadata", f"a metadata table cannot have {number} entries")
    parameters: int | None = None
    for index in range(1, number + 1):
        identifier, offset, length, _ = _ITEM.unpack_from(region, index * _ITEM.size)
        if identifier == _PARENT_LOCATOR:
            raise _violation("parent", "it names a parent disk")
        if identifier == _FILE_PARAMETERS:
            if parameters is not None or length != 8 or offset + length > len(region):
                raise _violation("metadata", "the file parameters are invalid")
            (parameters,) = struct.unpack_from("<4xI", region, offset)
    if parameters is None:
        raise _violation("metadata", "there are no file parameters")
    if parameters & _HAS_PARENT:
        raise _violation("parent", "it is a differencing disk")


def _violation(check: str, reason: str, advice: str = _CONVERT) -> Violation:
    return Violation("vhdx", check, reason, advice)
