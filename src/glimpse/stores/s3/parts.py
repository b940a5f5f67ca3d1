"""The sizes of the parts of an upload, within the limits of the protocol: at most 10,000 parts of at least 5 MiB."""

from __future__ import annotations

from collections.abc import Callable

MIB = 1 << 20

#: Limits of S3: the number of parts, and the bytes of one part.
MOST_PARTS = 10_000
LARGEST_PART = 5 << 30

#: Bytes of memory for the parts of one upload: one that is filled and those in flight.
BUFFER_BYTES = 50 * MIB

#: A size of which two parts fit into the memory. It is preferred to more parts, because some servers allow only 1,000
#: (Swift by default).
_COMFORTABLE = BUFFER_BYTES // 2
_FEW_PARTS = 1_000


def part_sizes(size: int | None, smallest: int) -> Callable[[int], int]:
    """Return a function from the number of a part (from 1) to its size in bytes.

    ``size``: bytes of the whole object, None if unknown. ``smallest``: configured size of a part in bytes.
    """
    if size is None:
        return lambda number: _growing(number, smallest)
    chosen = max(smallest, min(_mib(-(-size // _FEW_PARTS)), _COMFORTABLE), _mib(-(-size // MOST_PARTS)))
    return lambda _number: min(chosen, LARGEST_PART)


def in_flight(part_size: int, threads: int) -> int:
    """Return how many parts of this size may be in flight while another one is filled; 0: none, so that the part is
    uploaded before the next one is filled.
    """
    return min(threads, BUFFER_BYTES // part_size - 1) if part_size <= BUFFER_BYTES else 0


def _growing(number: int, smallest: int) -> int:
    """Return the size of a part of an object of unknown size: all parts together exceed 1.8 TiB at the defaults."""
    if number <= _FEW_PARTS // 2:
        return smallest
    grown = max(smallest, _COMFORTABLE) * 1.5 ** max(0, (number - 1) // _FEW_PARTS - 1)
    return min(_mib(int(grown)), LARGEST_PART)


def _mib(size: int) -> int:
    """Round up to MiB."""
    return -(-size // MIB) * MIB
