"""VMDK sparse extents (VMware, Virtual Disk Format 5.0): integers little endian, offsets in sectors.

monolithicSparse: header, descriptor, redundant grain directory and tables, grain directory and tables,
grains. streamOptimized: header, descriptor, compressed grains each behind a marker, grain tables, grain
directory, footer (the header again, now knowing the grain directory), end-of-stream marker.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.support.images.content import KIB, SECTOR, padded, units, written_blocks

MAGIC = b"KDMV"
HEADER = struct.Struct("<4sIIQQQQIQQQB4sH433x")
GRAIN_SECTORS = 128
GRAIN_SIZE = GRAIN_SECTORS * SECTOR
TABLE_ENTRIES = 512  # grain table entries per grain table
TABLE_SECTORS = TABLE_ENTRIES * 4 // SECTOR
DESCRIPTOR_SECTORS = 20
DIRECTORY_AT_END = 0xFFFFFFFFFFFFFFFF

FLAG_NEWLINE_TEST = 1 << 0
FLAG_REDUNDANT_TABLES = 1 << 1
FLAG_COMPRESSED = 1 << 16
FLAG_MARKERS = 1 << 17
COMPRESSION_DEFLATE = 1

MARKER_END_OF_STREAM, MARKER_GRAIN_TABLE, MARKER_GRAIN_DIRECTORY, MARKER_FOOTER = range(4)


@dataclass(frozen=True, kw_only=True)
class SparseHeader:
    """The first sector of a sparse extent; sizes and offsets in sectors."""

    capacity: int
    version: int = 1
    flags: int = FLAG_NEWLINE_TEST
    descriptor_offset: int = 1
    descriptor_size: int = DESCRIPTOR_SECTORS
    redundant_directory: int = 0
    directory: int = 0
    overhead: int = GRAIN_SECTORS
    compression: int = 0

    def pack(self) -> bytes:
        return HEADER.pack(
            MAGIC,
            self.version,
            self.flags,
            self.capacity,
            GRAIN_SECTORS,
            self.descriptor_offset,
            self.descriptor_size,
            TABLE_ENTRIES,
            self.redundant_directory,
            self.directory,
            self.overhead,
            0,
            b"\n \r\n",
            self.compression,
        )


def vmdk_descriptor(
    disk_size: int, *, create_type: str = "monolithicSparse", extents: Sequence[str] | None = None
) -> bytes:
    """The text that describes the disk; `extents` are whole lines of its extent section."""
    sectors = units(disk_size, SECTOR)
    lines = [
        "# Disk DescriptorFile",
        "version=1",
        "CID=6c1a0b5e",
        "parentCID=ffffffff",
        f'createType="{create_type}"',
        "",
        "# Extent description",
        *([f'RW {sectors} SPARSE "disk.vmdk"'] if extents is None else extents),
        "",
        "# The Disk Data Base",
        "#DDB",
        "",
        'ddb.virtualHWVersion = "4"',
        f'ddb.geometry.cylinders = "{sectors // (16 * 63)}"',
        'ddb.geometry.heads = "16"',
        'ddb.geometry.sectors = "63"',
        'ddb.adapterType = "ide"',
        "",
    ]
    return "\n".join(lines).encode()


def vmdk_sparse(data: bytes, *, descriptor: bytes | None = None) -> bytes:
    """A monolithicSparse image; grains of zeros are left out. An empty `descriptor` leaves that out too."""
    if descriptor is None:
        descriptor = vmdk_descriptor(len(data))
    tables = _table_count(data)
    directory_sectors = units(tables * 4, SECTOR)
    redundant_at = 1 + DESCRIPTOR_SECTORS
    directory_at = redundant_at + directory_sectors + tables * TABLE_SECTORS
    overhead = units(directory_at + directory_sectors + tables * TABLE_SECTORS, GRAIN_SECTORS) * GRAIN_SECTORS
    header = SparseHeader(
        capacity=units(len(data), SECTOR),
        flags=FLAG_NEWLINE_TEST | FLAG_REDUNDANT_TABLES,
        descriptor_offset=1 if descriptor else 0,
        descriptor_size=DESCRIPTOR_SECTORS if descriptor else 0,
        redundant_directory=redundant_at,
        directory=directory_at,
        overhead=overhead,
    )
    grains = list(written_blocks(data, GRAIN_SIZE))
    placed = {index: overhead + position * GRAIN_SECTORS for position, (index, _) in enumerate(grains)}
    grain_tables = b"".join(_grain_tables(placed, tables))
    metadata = header.pack() + descriptor.ljust(DESCRIPTOR_SECTORS * SECTOR, b"\0")
    for start in (redundant_at, directory_at):
        metadata += _directory([start + directory_sectors + n * TABLE_SECTORS for n in range(tables)])
        metadata += grain_tables
    return metadata.ljust(overhead * SECTOR, b"\0") + b"".join(grain for _, grain in grains)


def vmdk_stream(data: bytes, *, descriptor: bytes | None = None) -> bytes:
    """A streamOptimized image: it can be written, and read, front to back."""
    if descriptor is None:
        descriptor = vmdk_descriptor(len(data), create_type="streamOptimized")
    header = SparseHeader(
        version=3,
        capacity=units(len(data), SECTOR),
        flags=FLAG_NEWLINE_TEST | FLAG_COMPRESSED | FLAG_MARKERS,
        directory=DIRECTORY_AT_END,
        compression=COMPRESSION_DEFLATE,
    )
    stream = bytearray(header.pack() + descriptor.ljust(64 * KIB - SECTOR, b"\0"))
    placed: dict[int, int] = {}
    for index, grain in written_blocks(data, GRAIN_SIZE):
        compressed = zlib.compress(grain, 9)
        placed[index] = len(stream) // SECTOR
        stream += padded(struct.pack("<QI", index * GRAIN_SECTORS, len(compressed)) + compressed, SECTOR)
    directory: list[int] = []
    for table in _grain_tables(placed, _table_count(data)):
        stream += _marker(MARKER_GRAIN_TABLE, TABLE_SECTORS)
        directory.append(len(stream) // SECTOR)
        stream += table
    stream += _marker(MARKER_GRAIN_DIRECTORY, units(len(directory) * 4, SECTOR))
    footer = replace(header, directory=len(stream) // SECTOR)
    stream += _directory(directory)
    stream += _marker(MARKER_FOOTER, 1) + footer.pack() + _marker(MARKER_END_OF_STREAM, 0)
    return bytes(stream)


def _table_count(data: bytes) -> int:
    return max(1, units(len(data), GRAIN_SIZE * TABLE_ENTRIES))


def _grain_tables(placed: dict[int, int], count: int) -> Iterator[bytes]:
    """Grain tables holding the start sector of each placed grain, zero for absent ones."""
    for table in range(count):
        first = table * TABLE_ENTRIES
        entries = (placed.get(first + entry, 0) for entry in range(TABLE_ENTRIES))
        yield struct.pack(f"<{TABLE_ENTRIES}I", *entries)


def _directory(tables: list[int]) -> bytes:
    return padded(struct.pack(f"<{len(tables)}I", *tables), SECTOR)


def _marker(kind: int, sectors: int) -> bytes:
    """A metadata marker: sectors that follow it, size zero (it is no grain), type."""
    return struct.pack("<QII", sectors, 0, kind).ljust(SECTOR, b"\0")
