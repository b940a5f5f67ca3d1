"""Time limits on calls of a store."""

import os
import threading
from pathlib import Path

import pytest

from glimpse.errors import StoreUnavailable
from glimpse.stores.timed_calls import CallTimeout, TimedCalls, within

TIMED = CallTimeout(seconds=1, threads=2, warn_above=50)


def test_calls_that_answer_give_their_result_or_their_error(tmp_path: Path):
    calls = TimedCalls("cheap", TIMED)
    assert calls.bounded(os.path.basename)("/a/b") == "b"
    with pytest.raises(FileNotFoundError):
        calls.bounded(os.stat)(f"{tmp_path}/absent")


def test_calls_that_hang_are_given_up_and_do_not_pile_up(caplog: pytest.LogCaptureFixture):
    calls = TimedCalls("cheap", TIMED)
    answer = threading.Event()
    made: list[str] = []
    late: list[str] = []

    def hang(path: str) -> str:
        made.append(path)
        answer.wait(30)
        return path

    outcomes: list[BaseException] = []

    def attempt(path: str) -> None:
        try:
            calls.bounded(hang, late.append)(path)
        except StoreUnavailable as error:
            outcomes.append(error)

    threads = [threading.Thread(target=attempt, args=(path,)) for path in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3
    assert "did not answer in 1 s" in str(outcomes[0])
    answer.set()
    assert calls.bounded(os.path.basename)("/a/b") == "b"
    calls._pool.shutdown(wait=True)
    # two threads took the first two; the third was withdrawn before any thread had it
    assert len(made) == 2
    assert sorted(late) == sorted(made)
    assert "of its 2 threads are busy" in caplog.text


def test_after_the_end_no_call_is_made():
    calls = TimedCalls("cheap", TIMED)
    calls.close()
    with pytest.raises(StoreUnavailable, match="is closed"):
        calls.bounded(os.path.basename)("/a/b")


def test_a_start_waits_as_long_as_it_says():
    assert within(5, lambda: 7, "A store") == 7
    with pytest.raises(KeyError):
        within(5, lambda: {}["missing"], "A store")
    ended = threading.Event()
    with pytest.raises(StoreUnavailable, match="A store did not answer in"):
        within(0.05, lambda: ended.wait(30), "A store")
    ended.set()
