"""Shares of threads, tested by the order of events, not by time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from glimpse.transfer.fair_threads import FairThreads

SECONDS = 20.0


@pytest.fixture
def threads() -> Iterator[FairThreads]:
    made = FairThreads("test", 4)
    yield made
    made.shutdown()


class Gate:
    """Work that has begun, and goes on when it is let."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self) -> None:
        self.begun.release()
        assert self.open.wait(SECONDS)

    def await_begun(self, count: int) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=SECONDS)


def test_a_party_whose_work_never_ends_leaves_half_of_the_threads_to_others(threads: FairThreads) -> None:
    gate = Gate()
    held = [threads.lane(project="slow").submit(gate) for _ in range(50)]
    gate.await_begun(2)
    for other in ("a", "b"):
        assert threads.lane(project=other).submit(int).result(SECONDS) == 0
    assert sum(future.running() for future in held) == 2
    assert not gate.begun.acquire(blocking=False)
    gate.open.set()
    for future in held:
        future.result(SECONDS)


def test_a_source_that_never_answers_leaves_threads_to_other_sources_of_its_readers(threads: FairThreads) -> None:
    gate = Gate()
    held = [threads.lane(project=f"p{number}", source="silent").submit(gate) for number in range(10)]
    gate.await_begun(2)
    assert threads.lane(project="p0", source="good").submit(int).result(SECONDS) == 0
    assert threads.lane(project="p9", source="good").submit(int).result(SECONDS) == 0
    gate.open.set()
    for future in held:
        future.result(SECONDS)


def test_work_of_one_party_keeps_its_order(threads: FairThreads) -> None:
    done: list[int] = []
    lane = FairThreads("one", 1).lane(project="a")
    for future in [lane.submit(done.append, number) for number in range(100)]:
        future.result(SECONDS)
    assert done == list(range(100))


def test_waiting_parties_take_turns() -> None:
    threads = FairThreads("turns", 1, {"project": 1, "all": 1})
    gate = Gate()
    done: list[str] = []
    threads.lane(all="x", project="first").submit(gate)
    gate.await_begun(1)
    futures = [threads.lane(all="x", project=name).submit(done.append, name) for name in "aaabbc"]
    gate.open.set()
    for future in futures:
        future.result(SECONDS)
    threads.shutdown()
    assert "".join(done[:3]) in {"abc", "bca", "cab", "acb", "bac", "cba"}
    assert sorted(done) == list("aaabbc")


def test_errors_reach_whoever_waits_and_free_the_share(threads: FairThreads) -> None:
    lane = threads.lane(project="a")
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            lane.submit(divmod, 1, 0).result(SECONDS)
    assert lane.submit(int).result(SECONDS) == 0


def test_work_that_is_cancelled_while_it_waits_is_not_done(threads: FairThreads) -> None:
    gate = Gate()
    lane = threads.lane(project="a")
    for _ in range(2):
        lane.submit(gate)
    gate.await_begun(2)
    done: list[int] = []
    cancelled, kept = lane.submit(done.append, 1), lane.submit(done.append, 2)
    assert cancelled.cancel()
    gate.open.set()
    kept.result(SECONDS)
    assert done == [2]


def test_shutdown_does_what_waits_and_takes_nothing_more() -> None:
    threads = FairThreads("ending", 2)
    gate = Gate()
    lane = threads.lane(project="a")
    lane.submit(gate)
    gate.await_begun(1)
    done: list[int] = []
    lane.submit(done.append, 1)
    threading.Timer(0.05, gate.open.set).start()
    threads.shutdown()
    assert done == [1]
    with pytest.raises(RuntimeError):
        lane.submit(int)
