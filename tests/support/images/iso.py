"""ISO 9660 images (ECMA-119), bootable by El Torito 1.0, and as disks too when hybrid.

Sectors of 2048 bytes: 16 of system area, then the volume descriptors, the path tables, the root
directory, the boot catalog and boot image, the files. Numbers are recorded in both byte orders.
"""

import struct
from collections.abc import Mapping

from tests.support.images.content import SECTOR, noise, padded, units
from tests.support.images.partitions import ACTIVE, Partition, mbr

BLOCK = 2048
SYSTEM_AREA = 16 * BLOCK
STANDARD_IDENTIFIER = b"CD001"
DESCRIPTOR_BOOT, DESCRIPTOR_PRIMARY, DESCRIPTOR_END = 0, 1, 255
FLAG_DIRECTORY = 2
RECORDED = bytes([126, 11, 22, 12, 0, 0, 0])  # 2026-11-22 12:00:00, offset 0 from Greenwich
UNSET_DATE = b"0" * 16 + b"\0"
TYPE_HIDDEN_ISO = 0x17  # the partition type hybrid images traditionally carry
FILES: Mapping[str, bytes] = {"README.TXT": b"A file on a disc.\r\n", "DATA.BIN": noise(6000, "iso file")}


def iso(
    files: Mapping[str, bytes] = FILES,
    *,
    volume: str = "GLIMPSE",
    boot_code: bytes | None = None,
    hybrid: bool = False,
) -> bytes:
    """A disc with `files` (names as 8.3, upper case) in its root directory.

    With `boot_code` a PC boots it from its CD drive; `hybrid` puts a partition table, and that code, into
    the system area too, so that it also boots as a disk.
    """
    boot = boot_code is not None
    paths_at = 16 + (3 if boot else 2)
    root_at = paths_at + 2
    catalog_at = root_at + 1
    content_at = catalog_at + (2 if boot else 0)
    directory, contents = _directory(root_at, content_at, files)
    total = content_at + units(len(contents), BLOCK)
    path_table = struct.pack("<BBIH2s", 1, 0, root_at, 1, b"\0")
    swapped_path_table = struct.pack(">BBIH2s", 1, 0, root_at, 1, b"\0")
    descriptors = [_primary(volume, total, len(path_table), paths_at, root_at)]
    if boot:
        descriptors.append(_boot_record(catalog_at))
    descriptors.append(_descriptor(DESCRIPTOR_END, b""))

    system_area = b""
    if hybrid:
        whole = Partition(start=0, sectors=total * BLOCK // SECTOR, kind=TYPE_HIDDEN_ISO, flag=ACTIVE)
        system_area = mbr([whole], boot_code=boot_code or b"")
    parts = [
        system_area.ljust(SYSTEM_AREA, b"\0"),
        *descriptors,
        padded(path_table, BLOCK),
        padded(swapped_path_table, BLOCK),
        directory,
    ]
    if boot_code is not None:
        parts += [_boot_catalog(catalog_at + 1), padded(boot_code, BLOCK)]
    return b"".join([*parts, contents])


def _both(value: int, size: int) -> bytes:
    """A number least significant byte first, and again most significant byte first."""
    return value.to_bytes(size, "little") + value.to_bytes(size, "big")


def _record(identifier: bytes, block: int, size: int, flags: int) -> bytes:
    """A directory record; its length is even."""
    body = b"\0" + _both(block, 4) + _both(size, 4) + RECORDED + bytes([flags, 0, 0])
    body += _both(1, 2) + bytes([len(identifier)]) + identifier
    body += bytes((len(body) + 1) % 2)
    return bytes([len(body) + 1]) + body


def _directory(root_at: int, content_at: int, files: Mapping[str, bytes]) -> tuple[bytes, bytes]:
    """The root directory (itself, its parent, the files by name) and the blocks of all files."""
    records = [_record(name, root_at, BLOCK, FLAG_DIRECTORY) for name in (b"\0", b"\1")]
    contents = b""
    for name in sorted(files):
        block = content_at + len(contents) // BLOCK
        records.append(_record(f"{name};1".encode("ascii"), block, len(files[name]), 0))
        contents += padded(files[name], BLOCK)
    directory = b"".join(records)
    if len(directory) > BLOCK:
        raise ValueError("more files than one directory block holds")
    return padded(directory, BLOCK), contents


def _descriptor(kind: int, content: bytes) -> bytes:
    return (bytes([kind]) + STANDARD_IDENTIFIER + b"\x01" + content).ljust(BLOCK, b"\0")


def _primary(volume: str, total: int, path_table_size: int, paths_at: int, root_at: int) -> bytes:
    """The primary volume descriptor: names filled with blanks, dates not specified."""
    fields = [
        b"\0",
        b" " * 32,
        volume.encode("ascii").ljust(32),
        bytes(8),
        _both(total, 4),
        bytes(32),
        _both(1, 2),  # volumes in the set, number of this one
        _both(1, 2),
        _both(BLOCK, 2),
        _both(path_table_size, 4),
        struct.pack("<II", paths_at, 0),
        struct.pack(">II", paths_at + 1, 0),
        _record(b"\0", root_at, BLOCK, FLAG_DIRECTORY),
        b" " * (4 * 128 + 3 * 37),  # volume set, publisher, preparer, application; three file names
        UNSET_DATE * 4,
        b"\x01\0",
    ]
    return _descriptor(DESCRIPTOR_PRIMARY, b"".join(fields))


def _boot_record(catalog_at: int) -> bytes:
    content = b"EL TORITO SPECIFICATION".ljust(64, b"\0") + struct.pack("<I", catalog_at)
    return _descriptor(DESCRIPTOR_BOOT, content)


def _boot_catalog(image_at: int) -> bytes:
    """Validation entry (its 16 bit words add up to zero) and the default entry: boot without emulation."""

    def validation(checksum: int) -> bytes:
        return struct.pack("<BB2x24sHBB", 1, 0, b"GLIMPSE", checksum, 0x55, 0xAA)

    checksum = -sum(struct.unpack("<16H", validation(0))) & 0xFFFF
    default = struct.pack("<BBHBBHI20x", 0x88, 0, 0, 0, 0, BLOCK // SECTOR, image_at)
    return padded(validation(checksum) + default, BLOCK)
