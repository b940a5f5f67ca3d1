"""The bridge between the event loop and the thread that stores a body."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimpse.errors import BodyIncomplete, BodyTimeout
from glimpse.transfer.pump import BodyPump
from tests.unit.transfer.asgi_script import END, GONE, Script, Step, all_batches, last, run_with_pump

KIB = 1024
MIB = 1024 * KIB


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds; the time-out of the test ends a wait in vain."""
    while not condition():
        time.sleep(0.001)


@given(
    parts=st.lists(st.binary(max_size=40), max_size=30),
    batch_bytes=st.integers(1, 50),
    own_end=st.booleans(),
)
def test_hands_out_every_byte_in_order(parts: list[bytes], batch_bytes: int, own_end: bool) -> None:
    steps: list[Step] = [*parts, END] if own_end or not parts else [*parts[:-1], last(parts[-1])]
    batches = run_with_pump(Script(steps), all_batches, batch_bytes=batch_bytes)
    assert b"".join(batches) == b"".join(parts)
    assert all(batches), "a batch is empty"
    assert all(len(batch) >= batch_bytes for batch in batches[:-1])


def test_an_empty_body_has_no_batch() -> None:
    assert run_with_pump(Script([END]), all_batches) == []


def test_the_end_is_told_again() -> None:
    def work(pump: BodyPump) -> list[bytes | None]:
        return [pump.next_batch() for _ in range(4)]

    assert run_with_pump(Script([b"ab", END]), work) == [b"ab", None, None, None]


def test_a_part_as_large_as_a_batch_is_not_copied() -> None:
    part = bytes(MIB)
    batches = run_with_pump(Script([part, b"rest", END]), all_batches)
    assert batches[0] is part
    assert batches[1] == b"rest"


def test_nothing_is_read_before_the_first_batch_is_asked_for() -> None:
    script = Script([b"ab", END])

    def work(pump: BodyPump) -> int:
        time.sleep(0.05)
        before = script.reads
        assert pump.next_batch() == b"ab"
        return before

    assert run_with_pump(script, work) == 0


def test_reads_one_batch_ahead_and_no_further() -> None:
    script = Script([bytes(100) for _ in range(100)])

    def work(pump: BodyPump) -> None:
        for ahead in range(2000, 7000, 1000):
            assert pump.next_batch() == bytes(1000)
            while script.delivered < ahead:
                time.sleep(0.001)
            time.sleep(0.02)
            assert pump.received == script.delivered == ahead

    run_with_pump(script, work, batch_bytes=1000)


@pytest.mark.parametrize("parts", [[], [b"ab"], [bytes(1000), bytes(1000), b"ab"]])
def test_a_sender_that_goes_away_is_never_the_end(parts: list[bytes]) -> None:
    def work(pump: BodyPump) -> int:
        with pytest.raises(BodyIncomplete) as caught:
            all_batches(pump)
        for _ in range(3):
            with pytest.raises(BodyIncomplete):
                pump.next_batch()
        return caught.value.received

    assert run_with_pump(Script([*parts, GONE]), work, batch_bytes=1000) == len(b"".join(parts))


def test_a_silent_sender_is_given_up() -> None:
    script = Script([bytes(1000), b"ab"])

    def work(pump: BodyPump) -> None:
        assert pump.next_batch() == bytes(1000)
        with pytest.raises(BodyTimeout, match="after 1002 bytes"):
            pump.next_batch()
        assert script.cancelled == 0, "on granian, a cancelled read loses bytes"

    run_with_pump(script, work, timeout=0.5, batch_bytes=1000)


def test_a_slow_sender_may_take_longer_than_the_timeout_for_a_batch() -> None:
    steps: list[Step] = []
    for _ in range(15):
        steps += [0.1, b"slow"]
    assert run_with_pump(Script([*steps, END]), all_batches, timeout=1.0) == [b"slow" * 15]


def test_a_slow_store_does_not_count_against_the_sender() -> None:
    script = Script([bytes(1000), bytes(1000), 0.1, bytes(1000), END])

    def work(pump: BodyPump) -> list[bytes]:
        first = pump.next_batch()
        assert first is not None
        time.sleep(1.2)
        return [first, *all_batches(pump)]

    assert run_with_pump(script, work, timeout=1.0, batch_bytes=1000) == [bytes(1000)] * 3


def test_close_ends_the_read_under_way() -> None:
    script = Script([bytes(1000), b"ab"])

    def work(pump: BodyPump) -> None:
        pump.next_batch()
        eventually(lambda: script.delivered == 1002)
        pump.close()
        pump.close()
        with pytest.raises(BodyIncomplete):
            pump.next_batch()

    run_with_pump(script, work, batch_bytes=1000)
    assert script.cancelled == 1


def test_close_before_the_first_read_reads_nothing() -> None:
    script = Script([b"ab", END])
    run_with_pump(script, BodyPump.close)
    assert script.reads == 0


def test_a_read_cancelled_from_outside_is_never_the_end() -> None:
    script = Script([bytes(1000)])

    def work(pump: BodyPump, loop: asyncio.AbstractEventLoop) -> None:
        pump.next_batch()
        eventually(lambda: script.reads == 2)
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop) if task is not main_task])
        with pytest.raises(BodyIncomplete):
            pump.next_batch()

    async def main() -> None:
        nonlocal main_task
        main_task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(work, BodyPump(script, loop, timeout=30, batch_bytes=1000), loop)

    main_task: asyncio.Task[None] | None = None
    asyncio.run(main())


def test_a_failing_server_fails_the_read() -> None:
    with pytest.raises(OSError, match="wire cut"):
        run_with_pump(Script([OSError("wire cut")]), all_batches)


def test_a_closed_loop_is_a_sender_gone() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    pump = BodyPump(Script([END]), loop, timeout=1)
    with pytest.raises(BodyIncomplete):
        pump.next_batch()
    pump.close()


def test_drain_reads_to_the_end() -> None:
    def work(pump: BodyPump) -> tuple[bool, int, bytes | None]:
        pump.next_batch()
        return pump.drain(5000, 10), pump.received, pump.next_batch()

    script = Script([bytes(1000) for _ in range(5)] + [END])
    assert run_with_pump(script, work, batch_bytes=1000) == (True, 5000, None)


def test_drain_of_a_body_that_ended() -> None:
    def work(pump: BodyPump) -> bool:
        all_batches(pump)
        return pump.drain(0, 0)

    assert run_with_pump(Script([b"ab", END]), work)


def test_drain_stops_at_its_limits() -> None:
    script = Script([bytes(1000) for _ in range(100)])

    def by_bytes(pump: BodyPump) -> bool:
        return pump.drain(5000, 30)

    assert not run_with_pump(script, by_bytes, batch_bytes=1000)
    assert 5000 <= script.delivered <= 8000

    def by_time(pump: BodyPump) -> bool:
        return pump.drain(5000, 0.1)

    assert not run_with_pump(Script([b"ab"]), by_time)
    assert not run_with_pump(Script([b"ab", GONE]), by_bytes)


def test_a_body_in_crumbs_costs_little_more_than_its_size() -> None:
    crumbs = 300_000
    # Four bytes each, as an object of 37: a full batch of them loose would take ten times its size.
    script = Script(index.to_bytes(4, "big") for index in range(crumbs))

    def work(pump: BodyPump) -> bytes:
        batch = pump.next_batch()
        assert batch is not None
        return batch

    tracemalloc.start()
    try:
        batch = run_with_pump(script, work)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert batch == b"".join(index.to_bytes(4, "big") for index in range(MIB // 4))
    assert peak < 6 * MIB


def test_a_mib_in_16_parts_costs_few_python_calls() -> None:
    calls = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    part = bytes(64 * KIB)
    script = Script([*[part] * 64, END])

    def work(pump: BodyPump) -> int:
        # Thread and loop are warm after the first batch; the next ones are counted.
        pump.next_batch()
        start = calls
        for _ in range(2):
            assert pump.next_batch() == part * 16
        return (calls - start) // 2

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        per_mib = run_with_pump(script, work)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert per_mib < 120
    print(f"{per_mib} Python calls a MiB")
