"""The token cache, and work that is done once for many callers."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from glimpse.auth.base import Identity
from glimpse.auth.keystone import SingleFlight, TokenCache

ALICE = Identity(user_id="alice")
BOB = Identity(user_id="bob")


def test_identities_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    memory = TokenCache()
    memory.put(b"a", ALICE, 10)
    memory.put(b"b", BOB, 20)
    assert (memory.get(b"a"), memory.get(b"b"), memory.get(b"c")) == (ALICE, BOB, None)
    now += 10
    assert (memory.get(b"a"), memory.get(b"b")) == (None, BOB)
    memory.put(b"a", ALICE, 10)
    assert memory.get(b"a") == ALICE


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_is_no_memory(seconds: float) -> None:
    memory = TokenCache()
    memory.put(b"a", ALICE, seconds)
    assert memory.get(b"a") is None


def test_the_oldest_goes_first() -> None:
    memory = TokenCache(most=2)
    memory.put(b"a", ALICE, 60)
    memory.put(b"b", BOB, 60)
    memory.put(b"a", ALICE, 60)
    memory.put(b"c", BOB, 60)
    assert [memory.get(key) for key in (b"a", b"b", b"c")] == [ALICE, None, BOB]


class Work:
    """Counts how often it is done, and waits until it may end."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.done = 0
        self.may_end = threading.Event()
        self._failure = failure

    def __call__(self) -> int:
        self.done += 1
        assert self.may_end.wait(10)
        if self._failure is not None:
            raise self._failure
        return self.done


def waiting(pool: ThreadPoolExecutor, flight: SingleFlight[int], work: Work, count: int = 5):
    """``count`` threads that ask for the same work, all of them before it ends."""
    inside = threading.Barrier(count + 1)

    def ask() -> int:
        inside.wait(10)
        return flight.run("key", work)

    asked = [pool.submit(ask) for _ in range(count)]
    inside.wait(10)
    while not work.done:
        time.sleep(0.001)
    time.sleep(0.05)
    work.may_end.set()
    return asked


def test_many_threads_and_one_piece_of_work() -> None:
    flight: SingleFlight[int] = SingleFlight()
    work = Work()
    with ThreadPoolExecutor(5) as pool:
        assert [asked.result(10) for asked in waiting(pool, flight, work)] == [1] * 5
        assert flight.run("key", work) == 2


def test_failure_is_shared_and_forgotten() -> None:
    flight: SingleFlight[int] = SingleFlight()
    work = Work(KeyError("gone"))
    with ThreadPoolExecutor(5) as pool:
        for asked in waiting(pool, flight, work):
            with pytest.raises(KeyError, match="gone"):
                asked.result(10)
    assert work.done == 1
    better = Work()
    better.may_end.set()
    assert flight.run("key", better) == 1


def test_different_keys_do_not_wait_for_each_other() -> None:
    flight: SingleFlight[int] = SingleFlight()
    slow, quick = Work(), Work()
    quick.may_end.set()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(flight.run, "slow", slow)
        assert flight.run("quick", quick) == 1
        slow.may_end.set()
        assert asked.result(10) == 1
