"""The sizes of the parts of downloads, with a clock of our own."""

from __future__ import annotations

import time

import pytest

from glimpse.transfer.part_sizes import LARGE_PART, SMALL_PART, PartMemory, PartSizes, bytes_held

MIB = 1 << 20
GIB = 1 << 30


class Clock:
    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        patch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def send(sizes: PartSizes, clock: Clock, count: int, *, seconds: float) -> list[int]:
    """Send that many parts, each in so many seconds."""
    sent: list[int] = []
    for _ in range(count):
        sent.append(sizes.next_size())
        clock.now += seconds
        sizes.sent(sent[-1])
    return sent


def test_a_slow_client_gets_small_parts_that_hold_less_than_1_mib(clock: Clock) -> None:
    memory = PartMemory(GIB)
    assert set(send(PartSizes(GIB, memory), clock, 1000, seconds=0.03)) == {SMALL_PART}
    assert memory.free == GIB
    assert bytes_held(SMALL_PART) < MIB


def test_a_client_whose_first_mib_go_fast_and_then_no_more_gets_small_parts(clock: Clock) -> None:
    assert set(send(PartSizes(GIB, PartMemory(GIB)), clock, MIB // SMALL_PART, seconds=0)) == {SMALL_PART}


def test_a_fast_client_gets_large_parts(clock: Clock) -> None:
    sent = send(PartSizes(GIB, PartMemory(64 * MIB)), clock, 300, seconds=0.001)
    assert sent == sorted(sent)
    assert sent[-1] == LARGE_PART
    for position, size in enumerate(sent):
        assert size == SMALL_PART or size <= sum(sent[:position]) // 32


def test_a_fast_client_takes_memory_for_large_parts_once(clock: Clock) -> None:
    memory = PartMemory(64 * MIB)
    assert send(PartSizes(GIB, memory), clock, 400, seconds=0.001)[-1] == LARGE_PART
    assert memory.free == 64 * MIB - bytes_held(LARGE_PART) + bytes_held(SMALL_PART)


def test_a_client_that_becomes_slow_gets_small_parts_and_gives_memory_back(clock: Clock) -> None:
    memory = PartMemory(bytes_held(LARGE_PART))
    sizes = PartSizes(GIB, memory)
    assert send(sizes, clock, 300, seconds=0.001)[-1] == LARGE_PART
    assert memory.free < MIB
    assert send(sizes, clock, 16, seconds=1)[-1] == SMALL_PART
    assert memory.free < MIB, "large parts may still wait in the server"
    send(sizes, clock, 24, seconds=1)
    assert memory.free == bytes_held(LARGE_PART)


def in_turn(downloads: list[PartSizes], clock: Clock, rounds: int) -> list[int]:
    """Each download sends a part in each round; the parts of the last one."""
    return [[send(sizes, clock, 1, seconds=0.0001)[-1] for sizes in downloads] for _ in range(rounds)][-1]


def test_downloads_share_the_memory_of_large_parts_equally(clock: Clock) -> None:
    memory = PartMemory(64 * MIB)
    downloads = [PartSizes(GIB, memory) for _ in range(64)]
    last = in_turn(downloads, clock, 600)
    assert memory.free >= 0
    assert set(last) == {2 * SMALL_PART}
    for sizes in downloads:
        sizes.close()
    assert memory.free == 64 * MIB


def test_downloads_that_come_later_get_their_share_of_those_that_were_first(clock: Clock) -> None:
    memory = PartMemory(192 * MIB)
    first = [PartSizes(GIB, memory) for _ in range(12)]
    assert set(in_turn(first, clock, 400)) == {LARGE_PART}
    later = [PartSizes(GIB, memory) for _ in range(12)]
    last = in_turn(first + later, clock, 400)
    assert memory.free >= 0
    assert set(last) == {LARGE_PART // 2}
    for sizes in first:
        sizes.close()
    assert set(in_turn(later, clock, 100)) == {LARGE_PART}


def test_slow_downloads_have_no_share(clock: Clock) -> None:
    memory = PartMemory(64 * MIB)
    slow = [PartSizes(GIB, memory) for _ in range(300)]
    for sizes in slow:
        send(sizes, clock, 20, seconds=0.05)
    assert send(PartSizes(GIB, memory), clock, 300, seconds=0.001)[-1] == LARGE_PART


def test_the_last_parts_are_small_so_that_little_waits_when_all_is_handed_over(clock: Clock) -> None:
    size = 100 * MIB
    sizes = PartSizes(size, PartMemory(GIB))
    sent: list[int] = []
    while sum(sent) < size:
        sent += send(sizes, clock, 1, seconds=0.001)
    assert max(sent) == LARGE_PART
    assert sum(sent[-24:]) < 2 * MIB
