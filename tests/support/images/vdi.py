"""VDI images (VirtualBox, version 1.1): all integers are little endian.

Header, block map at the next sector, then the allocated blocks.
"""

import struct

from tests.support.images.content import MIB, SECTOR, noise, units, written_blocks

BANNER = b"<<< Virtual Disk Image >>>\n"
SIGNATURE = b"\x7f\x10\xda\xbe"  # at byte 64
HEADER = struct.Struct("<64s4sIIII256sIIIIII4xQIIII16s16s16s16s56x")
HEADER_SIZE = 400  # counted from its own field on, at byte 72
VERSION = 0x00010001
TYPE_DYNAMIC = 1
BLOCK_SIZE = MIB
UNALLOCATED = 0xFFFFFFFF


def vdi(data: bytes) -> bytes:
    """A dynamically allocated image; blocks of zeros stay unallocated."""
    count = units(len(data), BLOCK_SIZE)
    blocks = list(written_blocks(data, BLOCK_SIZE))
    block_map = [UNALLOCATED] * count
    for position, (index, _) in enumerate(blocks):
        block_map[index] = position
    map_at = SECTOR
    blocks_at = map_at + units(count * 4, SECTOR) * SECTOR
    header = HEADER.pack(
        BANNER,
        SIGNATURE,
        VERSION,
        HEADER_SIZE,
        TYPE_DYNAMIC,
        0,
        b"",  # description
        map_at,
        blocks_at,
        0,  # cylinders, heads, sectors: no legacy geometry
        0,
        0,
        SECTOR,
        len(data),
        BLOCK_SIZE,
        0,
        count,
        len(blocks),
        noise(16, "vdi image identifier"),
        noise(16, "vdi snapshot identifier"),
        bytes(16),  # link and parent: none, this is no differencing image
        bytes(16),
    )
    metadata = header.ljust(map_at, b"\0") + struct.pack(f"<{count}I", *block_map)
    return metadata.ljust(blocks_at, b"\0") + b"".join(block for _, block in blocks)
