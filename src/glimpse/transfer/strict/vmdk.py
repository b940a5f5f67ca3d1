"""VMDK sparse extents (VMware, Virtual Disk Format 5.0): integers little endian, offsets in sectors.

QEMU reads a descriptor instead of the disk when the capacity is 0, and looks for a parent in the 20 sectors behind the
header wherever the header says the descriptor is. So the descriptor must be there, end there, and the capacity count.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from glimpse.transfer.strict.reading import SECTOR, End, Reading, Violation
from glimpse.transfer.strict.vmdk_descriptor import CONVERT, check_descriptor, is_descriptor, refuse_descriptor

_HEADER: Final = struct.Struct("<4sIIQQQQIQQQB4sH")
_MARKER: Final = struct.Struct("<QII496s")
_DIRECTORY_AT_END: Final = 0xFFFFFFFFFFFFFFFF
_REDUNDANT_DIRECTORY: Final = 1 << 1
_MAX_CAPACITY: Final = (1 << 63) // SECTOR - 1
_GRAIN_SECTORS: Final = frozenset(1 << bits for bits in range(3, 12))
_TABLE_ENTRIES: Final = 512
#: Largest descriptor; what QEMU and VMware write is 20 to 127 sectors.
_MAX_DESCRIPTOR_SECTORS: Final = 512
#: Sectors in which QEMU looks for a parent.
_PARENT_SECTORS: Final = 20
_FOOTER_MARKER: Final = 3


class _Header(NamedTuple):
    magic: bytes
    version: int
    flags: int
    capacity: int
    grain: int
    descriptor_offset: int
    descriptor_size: int
    table_entries: int
    redundant_directory: int
    directory: int
    overhead: int
    unclean: int
    newlines: bytes
    compression: int


def read_vmdk(front: bytes) -> Reading | None:
    """Read a stream that may be a VMDK: a sparse file, an ESX sparse file, or a descriptor.

    :raises Violation: it is one that is not let in.
    """
    if front.startswith(b"KDMV"):
        return _read_sparse(front)
    if front.startswith(b"COWD"):
        raise Violation("vmdk", "kind", "it is an ESX sparse file (COWD), which is part of a disk", CONVERT)
    if is_descriptor(front):
        raise refuse_descriptor()
    return None


def _read_sparse(front: bytes) -> Reading:
    header = _header(front)
    _check_header(header)
    start, sectors = SECTOR, header.descriptor_size
    area = front[start : start + sectors * SECTOR]
    if len(area) < sectors * SECTOR:
        raise _violation("descriptor", "the data end within the descriptor")
    if sectors < _PARENT_SECTORS and not area.endswith(b"\0"):
        raise _violation("descriptor", "the descriptor has no end")
    extent = check_descriptor(area)
    # Some writers round the capacity up to whole grains.
    if not 0 <= header.capacity - extent < header.grain:
        raise _violation(
            "descriptor", f"the extent has {extent} sectors, but the disk has {header.capacity} according to the header"
        )
    return _Sparse(header)


def _header(data: bytes) -> _Header:
    return _Header._make(_HEADER.unpack(data[: _HEADER.size].ljust(_HEADER.size, b"\0")))


def _check_header(header: _Header) -> None:
    if not 1 <= header.version <= 3:
        raise _violation("descriptor", f"the header has version {header.version}; only 1 to 3 are supported")
    if header.descriptor_offset != 1 or not 1 <= header.descriptor_size <= _MAX_DESCRIPTOR_SECTORS:
        raise _violation(
            "descriptor",
            f"no descriptor of 1 to {_MAX_DESCRIPTOR_SECTORS} sectors begins in the sector after the header",
        )
    if not 1 <= header.capacity <= _MAX_CAPACITY:
        raise _violation("capacity", f"a disk cannot have {header.capacity} sectors")
    if header.grain not in _GRAIN_SECTORS or header.table_entries != _TABLE_ENTRIES:
        raise _violation(
            "grains", f"grains of {header.grain} sectors in tables of {header.table_entries} entries are not supported"
        )
    if header.compression > 1:
        raise _violation("grains", f"the compression {header.compression} is unknown")


class _Sparse(Reading):
    """A sparse file whose header and descriptor are as they should be."""

    def __init__(self, header: _Header) -> None:
        self._header = header
        self.virtual_size = header.capacity * SECTOR

    def finish(self, end: End) -> None:
        header = self._header
        if header.directory == _DIRECTORY_AT_END:
            header = _footer(header, end)
        tables = -(-header.capacity // (header.grain * _TABLE_ENTRIES))
        directories = [header.directory]
        if header.flags & _REDUNDANT_DIRECTORY:
            directories.append(header.redundant_directory)
        for directory in directories:
            if directory == 0 or directory * SECTOR + tables * 4 > end.sectors * SECTOR:
                raise _violation("directory", "the grain directory is outside the data")
        if header.overhead > end.sectors:
            raise _violation("directory", "the data end before the first grain")


def _footer(header: _Header, end: End) -> _Header:
    """The footer of a stream, which says where the grain directory is: all but that as in the header."""
    if end.size % SECTOR or len(end.tail) < 3 * SECTOR:
        raise _violation("footer", "the data do not end with a footer in whole sectors")
    marker, encoded, last = (end.tail[-at * SECTOR :][:SECTOR] for at in (3, 2, 1))
    footer = _header(encoded)
    same = footer._replace(
        directory=header.directory,
        redundant_directory=header.redundant_directory,
        overhead=header.overhead,
        unclean=header.unclean,
    )
    if same != header:
        raise _violation("footer", "the footer and the header differ")
    if footer.directory == _DIRECTORY_AT_END:
        raise _violation("footer", "the footer points to another footer")
    _, length, kind, padding = _MARKER.unpack(marker)
    if length != 0 or kind != _FOOTER_MARKER or any(padding):
        raise _violation("footer", "the marker before the footer is not a footer marker")
    if any(last):
        raise _violation("footer", "no end-of-stream marker follows the footer")
    return footer


def _violation(check: str, reason: str) -> Violation:
    return Violation("vmdk", check, reason, CONVERT)
