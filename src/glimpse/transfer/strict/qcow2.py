"""qcow2 images (QEMU, docs/interop/qcow2): all integers are big endian.

Readers fill short files up with zeros, so a header of 72 bytes is one. Tables must lie within the data: a reader
allocates what the header says before it reads them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from glimpse.transfer.strict.reading import SECTOR, End, Reading, Violation

_HEADER: Final = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_MIN_CLUSTER_BITS: Final = 9
_MAX_CLUSTER_BITS: Final = 21
_HEADER_BYTES_2: Final = 72
_HEADER_BYTES_3: Final = 104
_LUKS: Final = 2
_MAX_REFCOUNT_ORDER: Final = 6
_DATA_FILE_BIT: Final = 1 << 2
#: Dirty, corrupt, data file, compression type, extended L2 entries.
_KNOWN_BITS: Final = 0b11111
_MAX_EXTENSIONS: Final = 64
_EXTENSION_END: Final = 0
_EXTENSION_DATA_FILE: Final = 0x44415441
_EXTENSION_ENCRYPTION: Final = 0x0537BE77
_EXTENSION_BITMAPS: Final = 0x23852875
#: The limits that QEMU sets itself.
_MAX_L1_BYTES: Final = 32 << 20
_MAX_REFCOUNT_TABLE_BYTES: Final = 8 << 20
_MAX_SNAPSHOTS: Final = 65_536
_MAX_BITMAPS: Final = 65_535
_MAX_BITMAP_DIRECTORY_BYTES: Final = 64 << 20
_MIN_SNAPSHOT_BYTES: Final = 40

_STAND_ALONE: Final = "Convert the disk with qemu-img convert -O qcow2, which copies all data into one file."
_CHECK: Final = "Run qemu-img check, and convert the disk with qemu-img convert -O qcow2."


class _Header(NamedTuple):
    magic: bytes
    version: int
    backing_offset: int
    backing_bytes: int
    cluster_bits: int
    size: int
    crypt_method: int
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    snapshots_offset: int
    incompatible: int
    compatible: int
    autoclear: int
    refcount_order: int
    header_bytes: int


def read_qcow2(front: bytes) -> Reading:
    """Read the header and its extensions.

    :raises Violation: they name another file, or are such that no table can be trusted.
    """
    header = _Header._make(_HEADER.unpack(front[: _HEADER.size].ljust(_HEADER.size, b"\0")))
    if header.version not in {2, 3}:
        raise Violation("qcow2", "unknown_features", f"version {header.version} is not supported", _STAND_ALONE)
    if header.version == 2:
        header = header._replace(incompatible=0, refcount_order=4, header_bytes=_HEADER_BYTES_2)
    _check_header(header)
    tables = [
        _table("L1 table", header.l1_offset, header.l1_entries * 8, _MAX_L1_BYTES),
        _table(
            "refcount table",
            header.refcount_offset,
            header.refcount_clusters << header.cluster_bits,
            _MAX_REFCOUNT_TABLE_BYTES,
        ),
    ]
    if header.snapshots > _MAX_SNAPSHOTS:
        raise _bad_table("snapshot table", f"of {header.snapshots} snapshots is too long")
    tables.append(("snapshot table", header.snapshots_offset, header.snapshots * _MIN_SNAPSHOT_BYTES))
    # QEMU 7.2 crashes when it looks for the encryption header of an image that has none.
    lacks_key = header.crypt_method == _LUKS
    for kind, content in _extensions(header, front):
        if kind == _EXTENSION_DATA_FILE:
            raise Violation("qcow2", "data_file", "it names an external data file", _STAND_ALONE)
        if kind == _EXTENSION_BITMAPS:
            tables.append(_bitmaps(content))
        elif kind == _EXTENSION_ENCRYPTION:
            lacks_key = False
            tables.append(("encryption header", *struct.unpack(">QQ", content[:16].ljust(16, b"\0"))))
    if lacks_key:
        raise Violation("qcow2", "header", "it is encrypted, but has no encryption header", _CHECK)
    return _Qcow2(1 << header.cluster_bits, tables)


def _check_header(header: _Header) -> None:
    if header.backing_offset or header.backing_bytes:
        raise Violation("qcow2", "backing_file", "it names a backing file", _STAND_ALONE)
    if header.incompatible & _DATA_FILE_BIT:
        raise Violation("qcow2", "data_file", "its data are in an external file", _STAND_ALONE)
    if header.incompatible & ~_KNOWN_BITS:
        raise Violation("qcow2", "unknown_features", "it sets unknown incompatible features", _STAND_ALONE)
    longest = 1 << min(header.cluster_bits, _MAX_CLUSTER_BITS)
    if (
        not _MIN_CLUSTER_BITS <= header.cluster_bits <= _MAX_CLUSTER_BITS
        or header.crypt_method > _LUKS
        or header.refcount_order > _MAX_REFCOUNT_ORDER
        or (header.version > 2 and not _HEADER_BYTES_3 <= header.header_bytes <= longest)
    ):
        raise Violation("qcow2", "header", "the header has values that are impossible in a qcow2 image", _CHECK)


def _extensions(header: _Header, front: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of the header extensions, which end with the first cluster at the latest."""
    end = min(1 << header.cluster_bits, len(front))
    at = header.header_bytes
    for _ in range(_MAX_EXTENSIONS):
        if at + 8 > end:
            return
        kind, length = struct.unpack_from(">II", front, at)
        if kind == _EXTENSION_END:
            return
        at += 8
        if at + length > end:
            raise Violation("qcow2", "header", "a header extension is longer than the header", _CHECK)
        yield kind, front[at : at + length]
        at += -(-length // 8) * 8
    raise Violation("qcow2", "header", f"it has more than {_MAX_EXTENSIONS} header extensions", _CHECK)


def _bitmaps(content: bytes) -> tuple[str, int, int]:
    number, _, length, offset = struct.unpack(">IIQQ", content[:24].ljust(24, b"\0"))
    if number > _MAX_BITMAPS:
        raise _bad_table("bitmap directory", f"of {number} bitmaps is too long")
    return _table("bitmap directory", offset, length, _MAX_BITMAP_DIRECTORY_BYTES)


def _table(name: str, offset: int, length: int, limit: int) -> tuple[str, int, int]:
    if length > limit:
        raise _bad_table(name, f"of {length} bytes is too long")
    return name, offset, length


def _bad_table(name: str, reason: str) -> Violation:
    return Violation("qcow2", "tables", f"the {name} {reason}", _CHECK)


class _Qcow2(Reading):
    """An image that names no other file."""

    def __init__(self, cluster_bytes: int, tables: list[tuple[str, int, int]]) -> None:
        self._cluster_bytes = cluster_bytes
        self._tables = tables

    def finish(self, end: End) -> None:
        # The last cluster may be cut off behind what is used of it.
        limit = -(-max(end.size, SECTOR) // self._cluster_bytes) * self._cluster_bytes
        for name, offset, length in self._tables:
            if length and offset + length > limit:
                raise _bad_table(name, "is outside the data")
