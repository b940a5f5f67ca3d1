"""Sizes of parts, within the limits of the protocol and of memory."""

import pytest

from glimpse.stores.s3.parts import BUFFER_BYTES, LARGEST_PART, MIB, MOST_PARTS, in_flight, part_sizes

GIB, TIB = 1 << 30, 1 << 40
SMALLEST = 10 * MIB


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (0, 10 * MIB),
        (1, 10 * MIB),
        (9 * GIB, 10 * MIB),
        # some servers allow 1,000 parts only
        (20 * GIB, 21 * MIB),
        (100 * GIB, 25 * MIB),
        (244 * GIB, 25 * MIB),
        (TIB, 105 * MIB),
        (5 * TIB, 525 * MIB),
    ],
)
def test_parts_of_a_known_size(size: int, part: int):
    sizes = part_sizes(size, SMALLEST)
    assert sizes(1) == sizes(500) == part
    assert -(-size // part) <= MOST_PARTS


def test_parts_of_an_unknown_size_grow():
    sizes = [part_sizes(None, SMALLEST)(number) for number in range(1, MOST_PARTS + 1)]
    assert sizes[0] == SMALLEST
    assert sizes == sorted(sizes)
    assert all(size % MIB == 0 for size in sizes)
    assert max(sizes) <= LARGEST_PART
    assert sum(sizes[:1000]) > 17 * GIB
    assert sum(sizes) > 1.8 * TIB
    # two parts fit into the memory of a transfer for the first images of this size
    assert sum(size for size in sizes if 2 * size <= BUFFER_BYTES) > 40 * GIB


def test_a_larger_configured_size_is_the_smallest():
    assert part_sizes(GIB, 100 * MIB)(1) == 100 * MIB
    assert part_sizes(None, 100 * MIB)(1) == 100 * MIB


@pytest.mark.parametrize(
    ("part", "threads", "parts"),
    [(5, 10, 9), (10, 10, 4), (10, 2, 2), (16, 10, 2), (25, 10, 1), (26, 10, 0)],
)
def test_parts_in_flight_fit_into_the_memory(part: int, threads: int, parts: int):
    assert in_flight(part * MIB, threads) == parts
