"""Tells partition tables from boot sectors that only have the same signature.

All PC boot sectors end with ``55 AA``: floppies, FAT, NTFS and exFAT volumes, memtest, kernels.
"""

from __future__ import annotations

import struct
from typing import Final

_ENTRY: Final = struct.Struct("<B3xB3xII")
_TABLE_AT: Final = 446
_ENTRIES: Final = 4
_SECTOR: Final = 512
_PROTECTIVE: Final = 0xEE
_FLAGS: Final = frozenset({0x00, 0x80})


def has_partition_table(sector: bytes) -> bool:
    """Tell whether some program would read a partition table from a boot ``sector`` of 512 bytes with a valid
    signature.

    A table has the flags ``00`` or ``80`` in all four entries and at least one partition. Firmware and Linux follow a
    protective entry for sector 1 to a GPT regardless of the other entries.
    """
    if len(sector) < _SECTOR:
        return False
    entries = [_ENTRY.unpack_from(sector, _TABLE_AT + number * _ENTRY.size) for number in range(_ENTRIES)]
    if any(kind == _PROTECTIVE and start == 1 for _, kind, start, _ in entries):
        return True
    return all(flag in _FLAGS for flag, *_ in entries) and any(
        kind == _PROTECTIVE or (kind and sectors) for _, kind, _, sectors in entries
    )
