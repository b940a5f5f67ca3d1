"""The bridge between the event loop and the thread that stores a body."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glimpse.errors import BodyIncomplete, BodyTimeout, Conflict, Gone
from glimpse.transfer.pump import BodyPump, Pace
from glimpse.transfer.source import Steps
from tests.unit.transfer.asgi_script import END, GONE, Script, Step, all_batches, last, run_steps, run_with_pump

KIB = 1024
MIB = 1024 * KIB


def patient() -> Pace:
    """The pace of a sender who may take his time."""
    return Pace(silence=30, least_rate=0, window=60)


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
    batches = run_steps(Script(steps), all_batches(), batch_bytes=batch_bytes)
    assert b"".join(batches) == b"".join(parts)
    assert all(batches), "a batch is empty"
    assert all(len(batch) >= batch_bytes for batch in batches[:-1])


def test_an_empty_body_has_no_batch() -> None:
    assert run_steps(Script([END]), all_batches()) == []


def test_a_part_as_large_as_a_batch_is_not_copied() -> None:
    part = bytes(MIB)
    batches = run_steps(Script([part, b"rest", END]), all_batches())
    assert batches[0] is part
    assert batches[1] == b"rest"


def test_nothing_is_read_before_the_first_batch_is_asked_for() -> None:
    script = Script([b"ab", END])

    def steps() -> Steps[int]:
        time.sleep(0.05)
        before = script.reads
        assert (yield) == b"ab"
        return before

    assert run_steps(script, steps()) == 0


def test_steps_that_refuse_before_their_first_question_read_nothing() -> None:
    script = Script([b"ab", END])

    def steps() -> Steps[None]:
        if script.reads == 0:
            raise Conflict("no")
        yield

    with pytest.raises(Conflict):
        run_steps(script, steps())
    assert script.reads == 0


def test_reads_one_batch_ahead_and_no_further() -> None:
    script = Script([bytes(100) for _ in range(100)])

    def steps() -> Steps[None]:
        for ahead in range(2000, 7000, 1000):
            assert (yield) == bytes(1000)
            eventually(lambda wanted=ahead: script.delivered >= wanted)
            time.sleep(0.02)
            assert script.delivered == ahead

    run_steps(script, steps(), batch_bytes=1000)


@pytest.mark.parametrize("parts", [[], [b"ab"], [bytes(1000), bytes(1000), b"ab"]])
def test_a_sender_that_goes_away_is_never_the_end(parts: list[bytes]) -> None:
    with pytest.raises(BodyIncomplete) as caught:
        run_steps(Script([*parts, GONE]), all_batches(), batch_bytes=1000)
    assert caught.value.received == len(b"".join(parts))


def test_what_goes_wrong_with_the_body_is_thrown_into_the_steps() -> None:
    seen: list[BaseException] = []

    def steps() -> Steps[None]:
        try:
            while (yield) is not None:
                pass
        except BodyIncomplete as error:
            seen.append(error)
            raise Gone("cleaned up") from error

    with pytest.raises(Gone, match="cleaned up"):
        run_steps(Script([b"ab", GONE]), steps())
    assert [str(error) for error in seen] == ["The connection ended after 2 bytes, before the end of the body."]


@pytest.mark.parametrize("end", [END, GONE])
def test_steps_that_ask_for_more_than_there_is_are_a_defect(end: Step) -> None:
    closed: list[bool] = []

    def steps() -> Steps[None]:
        try:
            while True:
                with contextlib.suppress(BodyIncomplete):
                    yield
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="more than there is"):
        run_steps(Script([b"ab", end]), steps())
    assert closed == [True]


def test_a_silent_sender_is_given_up() -> None:
    script = Script([bytes(1000), b"ab"])

    async def work(pump: BodyPump[list[bytes]]) -> None:
        with pytest.raises(BodyTimeout, match=r"No data arrived for 0\.5 seconds, after 1002 bytes"):
            await pump.feed(all_batches())
        assert script.cancelled == 0, "on granian, a cancelled read loses bytes"

    run_with_pump(script, work, silence=0.5, batch_bytes=1000)


def test_a_slow_sender_may_take_longer_than_the_silence_for_a_batch() -> None:
    steps: list[Step] = []
    for _ in range(15):
        steps += [0.1, b"slow"]
    assert run_steps(Script([*steps, END]), all_batches(), silence=1.0) == [b"slow" * 15]


def test_a_sender_below_the_least_rate_is_given_up() -> None:
    """It is never silent, and asks for no more than its connection."""
    crumbs: list[Step] = [0.02, b"x"] * 3000
    with pytest.raises(BodyTimeout, match=r"arrives too slowly: .* the least rate is 10000 bytes a second"):
        run_steps(Script(crumbs), all_batches(), least_rate=10_000, window=0.2)


def test_a_slow_store_does_not_count_against_the_sender() -> None:
    script = Script([bytes(1000), bytes(1000), 0.1, bytes(1000), END])

    def steps() -> Steps[list[bytes]]:
        first = yield
        assert first is not None
        time.sleep(1.2)
        return [first, *(yield from all_batches())]

    batches = run_steps(script, steps(), silence=1.0, least_rate=1500, window=1.0, batch_bytes=1000)
    assert batches == [bytes(1000)] * 3


def test_a_waiting_upload_has_no_thread() -> None:
    """Thirty bodies that do not go on, and one thread: the one that comes is taken."""

    async def main() -> bytes:
        with ThreadPoolExecutor(1) as threads:
            slow = [BodyPump[list[bytes]](Script([b"ab"]), threads, patient()) for _ in range(30)]
            feeds = [asyncio.ensure_future(pump.feed(all_batches())) for pump in slow]
            while not all(pump.received for pump in slow):
                await asyncio.sleep(0.001)
            quick: BodyPump[list[bytes]] = BodyPump(Script([bytes(5000), END]), threads, patient(), batch_bytes=1000)
            batches = await quick.feed(all_batches())
            for feed in feeds:
                feed.cancel()
            for pump in slow:
                pump.close()
            await asyncio.gather(*feeds, return_exceptions=True)
        return b"".join(batches)

    assert asyncio.run(main()) == bytes(5000)


def test_a_fast_upload_lets_others_have_its_thread() -> None:
    """Of two uploads whose bodies are there at once, neither has the only thread to its end."""
    order: list[str] = []

    def steps(name: str) -> Steps[None]:
        while (yield) is not None:
            order.append(name)
            time.sleep(0.001)  # the next batch is there before this one is done

    async def main() -> None:
        with ThreadPoolExecutor(1) as threads:
            pumps = [
                BodyPump[None](Script([*[bytes(1000)] * 100, END]), threads, patient(), batch_bytes=1000)
                for _ in range(2)
            ]
            await asyncio.gather(*(pump.feed(steps(name)) for pump, name in zip(pumps, "ab", strict=True)))

    asyncio.run(main())
    assert sorted(order) == ["a"] * 100 + ["b"] * 100
    first, second = (order.index(name) for name in "ab")
    assert max(first, second) < 100, "one upload ran to its end before the other began"


def test_cancelling_the_request_ends_the_steps() -> None:
    ended = threading.Event()
    caught: list[BaseException] = []

    def steps() -> Steps[None]:
        try:
            while (yield) is not None:
                pass
        except BaseException as error:
            caught.append(error)
            ended.set()
            raise

    async def work(pump: BodyPump[None]) -> None:
        feed = asyncio.ensure_future(pump.feed(steps()))
        while not pump.received:
            await asyncio.sleep(0.001)
        feed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await feed
        pump.close()
        await asyncio.to_thread(ended.wait, 20)

    run_with_pump(Script([b"ab"]), work)
    assert [type(error) for error in caught] == [BodyIncomplete]


def test_the_steps_run_in_the_context_of_the_request() -> None:
    caller: ContextVar[str] = ContextVar("caller")

    def steps() -> Steps[list[str]]:
        seen = [caller.get()]
        while (yield) is not None:
            seen.append(caller.get())
        return seen

    async def work(pump: BodyPump[list[str]]) -> list[str]:
        return await pump.feed(steps())

    token = caller.set("the one who asked")
    try:
        assert run_with_pump(Script([b"ab", b"cd", END]), work, batch_bytes=2) == ["the one who asked"] * 3
    finally:
        caller.reset(token)


def test_close_ends_the_read_under_way() -> None:
    script = Script([bytes(1000), b"ab"])

    def steps() -> Steps[None]:
        yield
        eventually(lambda: script.delivered == 1002)
        raise Conflict("enough")

    async def work(pump: BodyPump[None]) -> None:
        with pytest.raises(Conflict):
            await pump.feed(steps())
        pump.close()
        pump.close()

    run_with_pump(script, work, batch_bytes=1000)
    assert script.cancelled == 1


def test_close_before_the_first_read_reads_nothing() -> None:
    script = Script([b"ab", END])

    async def work(pump: BodyPump[None]) -> None:
        pump.close()

    run_with_pump(script, work)
    assert script.reads == 0


def test_a_read_cancelled_from_outside_is_never_the_end() -> None:
    script = Script([bytes(1000)])

    async def main() -> None:
        with ThreadPoolExecutor(1) as threads:
            pump: BodyPump[list[bytes]] = BodyPump(script, threads, patient(), batch_bytes=1000)
            own = asyncio.current_task()
            feed = asyncio.ensure_future(pump.feed(all_batches()))
            while script.reads < 2:
                await asyncio.sleep(0.001)
            for task in asyncio.all_tasks() - {own, feed}:
                task.cancel()
            with pytest.raises(BodyIncomplete):
                await feed

    asyncio.run(main())


def test_a_failing_server_fails_the_read() -> None:
    with pytest.raises(OSError, match="wire cut"):
        run_steps(Script([OSError("wire cut")]), all_batches())


def test_a_failed_upload_leaves_no_cycle_that_keeps_its_body() -> None:
    """Otherwise its client hangs until the garbage collector happens to run."""

    async def main(steps: list[Step], silence: float) -> weakref.ref[BodyPump[list[bytes]]]:
        with ThreadPoolExecutor(1) as threads:
            pump: BodyPump[list[bytes]] = BodyPump(
                Script(steps), threads, Pace(silence=silence, least_rate=0, window=60), batch_bytes=1000
            )
            with contextlib.suppress(BodyIncomplete, BodyTimeout):
                await pump.feed(all_batches())
            pump.close()
            seen = weakref.ref(pump)
            del pump
        # the callback of the last step, and the cancelled read
        for _ in range(3):
            await asyncio.sleep(0)
        return seen

    gc.collect()
    gc.disable()
    try:
        for steps in ([b"ab", END], [b"ab", GONE], [b"ab"], [bytes(3000), GONE]):
            assert asyncio.run(main(list(steps), 0.2))() is None, steps
    finally:
        gc.enable()


class Refusing:
    """Steps that refuse the first batch."""

    def __call__(self) -> Steps[None]:
        yield
        raise Conflict("no")


def drained(steps: list[Step], max_bytes: int, seconds: float, pause: float = 30) -> tuple[bool, Script]:
    """What ``drain`` says after a refusal, and the script with what was read."""
    script = Script(steps)

    async def work(pump: BodyPump[None]) -> bool:
        with pytest.raises(Conflict):
            await pump.feed(Refusing()())
        return await pump.drain(max_bytes, seconds, pause)

    return run_with_pump(script, work, batch_bytes=1000), script


def test_drain_reads_to_the_end() -> None:
    ended, script = drained([*[bytes(1000)] * 5, END], 5000, 10)
    assert ended
    assert script.delivered == 5000


def test_drain_of_a_body_that_ended() -> None:
    assert drained([b"ab", END], 0, 0)[0]


def test_drain_stops_at_its_limits() -> None:
    ended, script = drained([bytes(1000)] * 100, 5000, 30)
    assert not ended
    assert 5000 <= script.delivered <= 8000
    assert not drained([bytes(1000), b"ab"], 5000, 0.1)[0]
    assert not drained([bytes(1000), b"ab"], 5000, 30, pause=0.1)[0]
    assert not drained([bytes(1000), b"ab", GONE], 5000, 30)[0]


def test_drain_keeps_nothing_in_memory() -> None:
    part = bytes(64 * KIB)
    script = Script([*[part[:index] + b"x" for index in range(1024, 0, -1)] * 4, *[bytes(16 * KIB)] * 4000, END])

    async def work(pump: BodyPump[None]) -> bool:
        with pytest.raises(Conflict):
            await pump.feed(Refusing()())
        tracemalloc.start()
        try:
            ended = await pump.drain(64 * MIB, 30, 30)
            assert tracemalloc.get_traced_memory()[1] < MIB
        finally:
            tracemalloc.stop()
        return ended

    assert run_with_pump(script, work, batch_bytes=8 * MIB)


def pace_after(reads: list[tuple[float, float, int]], **options: float) -> None:
    """Check the pace at the end of each read: when it began, when it ended, bytes received by then."""
    pace = Pace(**{"silence": 100.0, "least_rate": 10.0, "window": 10.0, **options})
    for began, ended, received in reads:
        pace.read(began)
        pace.heard = ended
        pace.check(ended, received)
        pace.pause(ended)


def test_the_least_rate_is_asked_for_over_a_window() -> None:
    pace_after([(0, 9, 0), (9, 10, 100)])
    with pytest.raises(BodyTimeout, match="99 bytes in the last 10 seconds; the least rate is 10 bytes"):
        pace_after([(0, 9, 0), (9, 10, 99)])


def test_what_came_in_one_window_does_not_help_in_the_next() -> None:
    pace_after([(0, 10, 1_000_000), (10, 20, 1_000_100)])
    with pytest.raises(BodyTimeout):
        pace_after([(0, 10, 1_000_000), (10, 20, 1_000_099)])


def test_time_in_which_nothing_is_read_does_not_count() -> None:
    pace_after([(0, 5, 50), (1000, 1004, 60), (2000, 2001, 100)])
    with pytest.raises(BodyTimeout):
        pace_after([(0, 5, 50), (1000, 1004, 60), (2000, 2001, 99)])


def test_without_a_least_rate_any_is_welcome() -> None:
    pace_after([(0, 1000, 1), (1000, 2000, 2)], least_rate=0)


def test_the_next_check_is_not_later_than_it_has_to_be() -> None:
    pace = Pace(silence=4, least_rate=1, window=10)
    assert pace.next_check(0) <= 1
    pace.read(0)
    assert pace.next_check(0) == 4
    pace.heard = 8
    assert pace.next_check(8) == 2
    pace.pause(9)
    pace.read(50)
    assert pace.next_check(50) == 1


def test_a_body_in_crumbs_costs_little_more_than_its_size() -> None:
    crumbs = 300_000
    # Four bytes each, as an object of 37: a full batch of them loose would take ten times its size.
    script = Script(index.to_bytes(4, "big") for index in range(crumbs))

    def steps() -> Steps[bytes]:
        batch = yield
        assert batch is not None
        return batch

    tracemalloc.start()
    try:
        batch = run_steps(script, steps())
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

    def steps() -> Steps[int]:
        # Thread and loop are warm after the first batch; the next ones are counted.
        yield
        start = calls
        for _ in range(2):
            assert (yield) == part * 16
        return (calls - start) // 2

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        per_mib = run_steps(script, steps())
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert per_mib < 120
    print(f"{per_mib} Python calls a MiB")
