"""Partitioned raw disks: MBR (PC BIOS) and GPT (UEFI 2.10, chapter 5); integers are little endian."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tests.support.images.content import MIB, SECTOR, noise, units

BOOT_SIGNATURE = b"\x55\xaa"  # at byte 510
BOOT_CODE_SIZE = 440  # then the disk signature, and from byte 446 on the four entries
TABLE_AT = 446
ACTIVE, INACTIVE = 0x80, 0x00
TYPE_FAT16, TYPE_LINUX, TYPE_NON_FILESYSTEM, TYPE_PROTECTIVE = 0x06, 0x83, 0xDA, 0xEE
BEYOND_CHS = b"\xfe\xff\xff"  # the address no cylinder, head and sector can express
PROTECTIVE_CHS = b"\x00\x02\x00"  # the second sector, as UEFI wants it written
MEDIA_FLOPPY, MEDIA_FIXED = 0xF0, 0xF8

GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
GPT_ENTRY = struct.Struct("<16s16sQQQ72s")
GPT_ENTRIES = 128
GPT_ENTRY_SECTORS = units(GPT_ENTRIES * GPT_ENTRY.size, SECTOR)
LINUX_FILESYSTEM = UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One entry of an MBR partition table; start and length in sectors."""

    start: int
    sectors: int
    kind: int = TYPE_LINUX
    flag: int = INACTIVE

    def pack(self) -> bytes:
        first = PROTECTIVE_CHS if self.kind == TYPE_PROTECTIVE else BEYOND_CHS
        return struct.pack("<B3sB3sII", self.flag, first, self.kind, BEYOND_CHS, self.start, self.sectors)


def mbr(partitions: Sequence[Partition], *, boot_code: bytes = b"") -> bytes:
    """A master boot record: the first sector of a disk."""
    if len(boot_code) > BOOT_CODE_SIZE:
        raise ValueError(f"boot code is longer than {BOOT_CODE_SIZE} bytes")
    table = b"".join(partition.pack() for partition in partitions)
    signature = noise(4, "disk signature") + bytes(2)
    return boot_code.ljust(BOOT_CODE_SIZE, b"\0") + signature + table.ljust(64, b"\0") + BOOT_SIGNATURE


def mbr_disk(size: int = MIB, *, partitions: Sequence[Partition] | None = None, boot_code: bytes = b"") -> bytes:
    """A disk with an MBR, by default with one active partition; noise fills the partitions."""
    if partitions is None:
        start = 64
        partitions = [Partition(start=start, sectors=size // SECTOR - start, flag=ACTIVE)]
    disk = bytearray(size)
    disk[:SECTOR] = mbr(partitions, boot_code=boot_code)
    for number, partition in enumerate(partitions, 1):
        first, last = partition.start * SECTOR, (partition.start + partition.sectors) * SECTOR
        if partition.start > 0 and last <= size:
            disk[first:last] = noise(last - first, f"partition {number}")
    return bytes(disk)


def gpt_disk(size: int = MIB, *, protective: Sequence[Partition] | None = None) -> bytes:
    """A disk with a GPT: protective MBR, header, entries, one partition, backup entries and header."""
    sectors = size // SECTOR
    if protective is None:
        protective = [Partition(start=1, sectors=sectors - 1, kind=TYPE_PROTECTIVE)]
    first_usable, last_usable = 2 + GPT_ENTRY_SECTORS, sectors - 2 - GPT_ENTRY_SECTORS
    name = "glimpse".encode("utf-16-le")
    partition = (
        LINUX_FILESYSTEM.bytes_le,
        noise(16, "partition identifier"),
        first_usable,
        last_usable,
        0,
        name,
    )
    entries = GPT_ENTRY.pack(*partition).ljust(GPT_ENTRY_SECTORS * SECTOR, b"\0")

    def header(own: int, other: int, entries_at: int) -> bytes:
        def pack(checksum: int) -> bytes:
            return GPT_HEADER.pack(
                b"EFI PART",
                0x00010000,
                GPT_HEADER.size,
                checksum,
                0,
                own,
                other,
                first_usable,
                last_usable,
                noise(16, "gpt disk identifier"),
                entries_at,
                GPT_ENTRIES,
                GPT_ENTRY.size,
                zlib.crc32(entries),
            )

        return pack(zlib.crc32(pack(0))).ljust(SECTOR, b"\0")

    content = noise((last_usable - first_usable + 1) * SECTOR, "gpt partition")
    backup = sectors - 1
    return b"".join(
        [
            mbr(protective),
            header(1, backup, 2),
            entries,
            content,
            entries,
            header(backup, 1, backup - GPT_ENTRY_SECTORS),
        ]
    )


def fat_volume(size: int = 1440 * 1024, *, media: int = MEDIA_FLOPPY) -> bytes:
    """A FAT12 file system on a whole disk: boot signature and all, but no partition table."""
    parameters = struct.pack("<HBHBHHBHHHII", SECTOR, 1, 1, 2, 224, size // SECTOR, media, 9, 18, 2, 0, 0)
    extended = struct.pack("<BBB4s11s8s", 0, 0, 0x29, noise(4, "floppy"), b"NO NAME    ", b"FAT12   ")
    boot_sector = b"\xeb\x3c\x90" + b"GLIMPSE " + parameters + extended
    disk = bytearray(size)
    disk[:SECTOR] = boot_sector.ljust(510, b"\0") + BOOT_SIGNATURE
    for table in (1, 10):  # two copies of the allocation table: media byte and end marks
        disk[table * SECTOR : table * SECTOR + 3] = bytes([media, 0xFF, 0xFF])
    return bytes(disk)
