"""VHDX images (Microsoft, MS-VHDX): integers little endian, regions aligned to 1 MiB.

File identifier, two headers and two region tables share the first MiB; then log, metadata region,
block allocation table and payload blocks.
"""

import struct
from functools import cache
from uuid import UUID

from tests.support.images.content import KIB, MIB, SECTOR, noise, units, written_blocks

SIGNATURE = b"vhdxfile"
HEADER = struct.Struct("<4sIQ16s16s16sHHIQ")
HEADER_SIZE = 4 * KIB  # what its checksum covers
REGION_TABLE_SIZE = 64 * KIB
HEADERS_AT = (64 * KIB, 128 * KIB)
REGION_TABLES_AT = (192 * KIB, 256 * KIB)
LOG_AT, METADATA_AT, TABLE_AT, PAYLOAD_AT = (MIB * n for n in range(1, 5))
REGION_BLOCK_ALLOCATION = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08")
REGION_METADATA = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e")
BLOCK_SIZE = MIB
BLOCKS_PER_CHUNK = (1 << 23) * SECTOR // BLOCK_SIZE  # then the table holds a sector bitmap entry
BLOCK_FULLY_PRESENT = 6

FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
VIRTUAL_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
VIRTUAL_DISK_ID = UUID("beca12ab-b2e6-4523-93ef-c309e000c746")
LOGICAL_SECTOR_SIZE = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f")
PHYSICAL_SECTOR_SIZE = UUID("cda348c7-445d-4471-9cc9-e9885251c556")
OF_THE_DISK, REQUIRED = 1 << 1, 1 << 2
ITEMS_AT = 64 * KIB  # inside the metadata region: behind the metadata table


def vhdx(data: bytes) -> bytes:
    """A dynamic image with blocks of 1 MiB; blocks of zeros are not present."""
    count = units(len(data), BLOCK_SIZE)
    if count > BLOCKS_PER_CHUNK:
        raise ValueError("disk too large for a table without sector bitmap entries")
    table = [0] * count
    payload: list[bytes] = []
    for index, block in written_blocks(data, BLOCK_SIZE):
        table[index] = (PAYLOAD_AT + len(payload) * BLOCK_SIZE) | BLOCK_FULLY_PRESENT
        payload.append(block)

    image = bytearray(PAYLOAD_AT)
    identifier = SIGNATURE + "glimpse test images".encode("utf-16-le")
    image[: len(identifier)] = identifier
    for sequence, at in enumerate(HEADERS_AT, 1):
        image[at : at + HEADER_SIZE] = _header(sequence)
    region_table = _region_table()
    for at in REGION_TABLES_AT:
        image[at : at + REGION_TABLE_SIZE] = region_table
    metadata = _metadata(len(data))
    image[METADATA_AT : METADATA_AT + len(metadata)] = metadata
    image[TABLE_AT : TABLE_AT + 8 * count] = struct.pack(f"<{count}Q", *table)
    return b"".join([image, *payload])


def _header(sequence: int) -> bytes:
    """A header; the one with the higher sequence number counts. No log identifier: nothing to replay."""
    header = HEADER.pack(
        b"head",
        0,
        sequence,
        noise(16, "vhdx file write identifier"),
        noise(16, "vhdx data write identifier"),
        bytes(16),
        0,
        1,
        MIB,
        LOG_AT,
    )
    return _with_checksum(header.ljust(HEADER_SIZE, b"\0"))


def _region_table() -> bytes:
    regions = ((REGION_BLOCK_ALLOCATION, TABLE_AT), (REGION_METADATA, METADATA_AT))
    table = struct.pack("<4sIII", b"regi", 0, len(regions), 0)
    for identifier, offset in regions:
        table += identifier.bytes_le + struct.pack("<QII", offset, MIB, 1)
    return _with_checksum(table.ljust(REGION_TABLE_SIZE, b"\0"))


def _metadata(disk_size: int) -> bytes:
    """The metadata table (64 KiB: head, then 32 bytes for each item), then the items themselves."""
    items = (
        (FILE_PARAMETERS, REQUIRED, struct.pack("<II", BLOCK_SIZE, 0)),
        (VIRTUAL_DISK_SIZE, REQUIRED | OF_THE_DISK, struct.pack("<Q", disk_size)),
        (VIRTUAL_DISK_ID, REQUIRED | OF_THE_DISK, noise(16, "vhdx disk identifier")),
        (LOGICAL_SECTOR_SIZE, REQUIRED | OF_THE_DISK, struct.pack("<I", SECTOR)),
        (PHYSICAL_SECTOR_SIZE, REQUIRED | OF_THE_DISK, struct.pack("<I", SECTOR)),
    )
    table = struct.pack("<8sHH20x", b"metadata", 0, len(items))
    values = b""
    for identifier, flags, value in items:
        table += identifier.bytes_le + struct.pack("<IIII", ITEMS_AT + len(values), len(value), flags, 0)
        values += value
    return table.ljust(ITEMS_AT, b"\0") + values


def _with_checksum(structure: bytes) -> bytes:
    """The structure with its CRC-32C at byte 4, computed while that field was zero."""
    return structure[:4] + struct.pack("<I", crc32c(structure)) + structure[8:]


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, reflected polynomial 0x82F63B78)."""
    table = _crc32c_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


@cache
def _crc32c_table() -> tuple[int, ...]:
    table: list[int] = []
    for value in range(256):
        remainder = value
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0x82F63B78 if remainder & 1 else 0)
        table.append(remainder)
    return tuple(table)
