"""VHD images (Microsoft, Virtual Hard Disk Image Format): all integers are big endian.

Dynamic: copy of the footer, sparse header, block allocation table, blocks (each behind the bitmap of its
sectors), footer. Fixed: the raw disk and the footer.
"""

import struct

from tests.support.images.content import MIB, SECTOR, noise, padded, units, written_blocks

COOKIE = b"conectix"
FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427x")
SPARSE_HEADER = struct.Struct(">8sQQIIII16sI4x512s192x256x")
FORMAT_VERSION = 0x00010000
TYPE_FIXED, TYPE_DYNAMIC = 2, 3
NO_OFFSET = 0xFFFFFFFFFFFFFFFF
UNALLOCATED = 0xFFFFFFFF


def vhd(data: bytes, *, block_size: int = 2 * MIB) -> bytes:
    """A dynamic image; blocks of zeros stay unallocated."""
    footer = _footer(len(data), TYPE_DYNAMIC, data_offset=SECTOR)
    table_at = SECTOR + SPARSE_HEADER.size
    entries = units(len(data), block_size)
    table = [UNALLOCATED] * entries
    blocks_at = table_at + units(entries * 4, SECTOR) * SECTOR
    bitmap = padded(b"\xff" * units(block_size // SECTOR, 8), SECTOR)
    blocks: list[bytes] = []
    for index, block in written_blocks(data, block_size):
        table[index] = (blocks_at + len(blocks) * (len(bitmap) + block_size)) // SECTOR
        blocks.append(bitmap + block)
    packed_table = struct.pack(f">{entries}I", *table)
    packed_table = packed_table.ljust(units(entries * 4, SECTOR) * SECTOR, b"\xff")
    return b"".join([footer, _sparse_header(table_at, entries, block_size), packed_table, *blocks, footer])


def vhd_fixed(data: bytes) -> bytes:
    """A fixed image: nothing but its last sector tells it from the raw disk."""
    return data + _footer(len(data), TYPE_FIXED, data_offset=NO_OFFSET)


def geometry(disk_size: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track, computed as the format's appendix prescribes."""
    sectors = min(disk_size // SECTOR, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        per_track, heads = 255, 16
        return sectors // per_track // heads, heads, per_track
    per_track = 17
    heads = max(4, units(sectors // per_track, 1024))
    if sectors // per_track >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
    if sectors // per_track >= heads * 1024:
        per_track, heads = 63, 16
    return sectors // per_track // heads, heads, per_track


def _footer(disk_size: int, kind: int, *, data_offset: int) -> bytes:
    """The creator `win ` makes readers take the size from the size field, not from the geometry."""

    def pack(checksum: int) -> bytes:
        return FOOTER.pack(
            COOKIE,
            2,  # features: the reserved bit, always set
            FORMAT_VERSION,
            data_offset,
            0,
            b"win ",
            0x000A0000,
            b"Wi2k",
            disk_size,
            disk_size,
            *geometry(disk_size),
            kind,
            checksum,
            noise(16, "vhd identifier"),
            0,
        )

    return pack(_checksum(pack(0)))


def _sparse_header(table_at: int, entries: int, block_size: int) -> bytes:
    def pack(checksum: int) -> bytes:
        return SPARSE_HEADER.pack(
            b"cxsparse",
            NO_OFFSET,
            table_at,
            FORMAT_VERSION,
            entries,
            block_size,
            checksum,
            bytes(16),
            0,
            b"",
        )

    return pack(_checksum(pack(0)))


def _checksum(structure: bytes) -> int:
    """The ones' complement of the sum of all bytes, the checksum field counting as zero."""
    return ~sum(structure) & 0xFFFFFFFF
