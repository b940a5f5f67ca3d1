"""Formats that the library does not know, or bans, as QEMU's probe tells them."""

from __future__ import annotations

import struct
from typing import Final

from glimpse.transfer.strict.reading import SECTOR, End, Reading, Violation

PARALLELS: Final = (b"WithoutFreeSpace", b"WithouFreSpacExt")
CLOOP: Final = b"#!/bin/sh\n#V2.0"
BOCHS: Final = b"Bochs Virtual HD Image"
_CONVERT: Final = "Convert the disk with qemu-img convert -O qcow2, which copies all data into one file."
_CLOOP_TABLE_AT: Final = 136
_CLOOP_MAX_BLOCK: Final = 64 << 20
_LUKS_SLOTS_AT: Final = 208
_LUKS_SLOT: Final = struct.Struct(">II32sII")
_LUKS_SLOTS: Final = 8
_LUKS_ACTIVE: Final = 0x00AC71F3
_LUKS_STRIPES: Final = 4000
_LUKS_MAX_KEY_BYTES: Final = 128
#: PBKDF2 runs as often as a header says: this many take a minute or two. cryptsetup chooses a few millions.
_LUKS_MAX_ITERATIONS: Final = 100_000_000


def refuse_qed() -> Violation:
    """QED may name a backing file, and nothing but QEMU reads it."""
    return Violation("qed", "banned", "this format is not allowed", _CONVERT)


def refuse_cow() -> Violation:
    """The copy-on-write files of User Mode Linux always name a backing file."""
    return Violation("cow", "backing_file", "it is a copy-on-write file with a backing file", _CONVERT)


class _Table(Reading):
    """A format whose readers allocate a table before they read it."""

    def __init__(self, format_name: str, end: int) -> None:
        self._format_name = format_name
        self._end = end

    def finish(self, end: End) -> None:
        if self._end > end.sectors * SECTOR:
            raise Violation(self._format_name, "table", "the block table is outside the data", _CONVERT)


def read_parallels(front: bytes) -> Reading:
    """Parallels images: 64 bytes of header, then the table of blocks."""
    (entries,) = struct.unpack_from("<I", front.ljust(SECTOR, b"\0"), 32)
    return _Table("parallels", 64 + entries * 4)


def read_cloop(front: bytes) -> Reading:
    """Compressed loop images: a script of 128 bytes, block size, number of blocks, table of offsets.

    :raises Violation: the blocks are too large.
    """
    block, number = struct.unpack_from(">II", front.ljust(SECTOR, b"\0"), 128)
    if block > _CLOOP_MAX_BLOCK:
        raise Violation("cloop", "table", f"blocks of {block} bytes are too large", _CONVERT)
    return _Table("cloop", _CLOOP_TABLE_AT + (number + 1) * 8)


def read_bochs(front: bytes) -> Reading:
    """Redo logs of Bochs: only growing disks stand alone.

    :raises Violation: it belongs to another disk.
    """
    kind = front[48:64].rstrip(b"\0")
    if kind != b"Growing":
        raise Violation("bochs", "kind", "it is a redo log that belongs to another disk", _CONVERT)
    (entries,) = struct.unpack_from("<I", front.ljust(SECTOR, b"\0"), 72)
    return _Table("bochs", SECTOR + entries * 4)


def read_luks(front: bytes) -> Reading:
    """The key slots of LUKS version 1; whether other versions are let in is decided elsewhere.

    :raises Violation: unlocking it would take forever, or too much memory.
    """
    header = front[: _LUKS_SLOTS_AT + _LUKS_SLOTS * _LUKS_SLOT.size].ljust(1024, b"\0")
    (version,) = struct.unpack_from(">H", header, 6)
    if version != 1:
        return Reading()
    key_bytes, digest_iterations = struct.unpack_from(">I52xI", header, 108)
    slots = [_LUKS_SLOT.unpack_from(header, _LUKS_SLOTS_AT + n * _LUKS_SLOT.size) for n in range(_LUKS_SLOTS)]
    active = [slot for slot in slots if slot[0] == _LUKS_ACTIVE]
    if max([digest_iterations, *(iterations for _, iterations, *_ in active)]) > _LUKS_MAX_ITERATIONS:
        raise Violation("luks", "iterations", f"a key is derived in more than {_LUKS_MAX_ITERATIONS} iterations")
    if key_bytes > _LUKS_MAX_KEY_BYTES or any(stripes != _LUKS_STRIPES for *_, stripes in active):
        raise Violation("luks", "key_material", "the key material is larger than LUKS allows")
    return Reading()
