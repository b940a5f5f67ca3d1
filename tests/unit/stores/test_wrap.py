"""Wrappers that all stores share: what each changes, and that it changes nothing else."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from glimpse.errors import DataNotFound, DeletionDenied, Duplicate, StoreBusy, StoreFull, StoreUnavailable
from glimpse.settings.model import StoreCalls
from glimpse.stores.base import DeletionCheck, Listing, Store, ability
from glimpse.stores.memory import MemoryOptions, MemoryStore
from glimpse.stores.timed_calls import CallTimeout
from glimpse.stores.wrap import LimitedStore, MeasuredStore, RetryingStore, TimedStore, wrapped


class Taken:
    """Metrics that are kept as they come."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.bytes: list[tuple[str, str, int]] = []

    def store_call(self, store: str, call: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append((store, call, outcome))

    def store_bytes(self, store: str, direction: str, count: int) -> None:
        self.bytes.append((store, direction, count))


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore("ram", MemoryOptions(memory_store_max_bytes=1000))


def put(store: Store, image_id: str = "image", data: bytes = b"data") -> str:
    writer = store.writer(image_id, len(data), "try1")
    writer.write(data)
    return writer.commit().url


def failing(monkeypatch: pytest.MonkeyPatch, store: Store, name: str, *errors: Exception) -> list[float]:
    """Let the next calls of ``name`` raise these errors; returns when each was made."""
    left = list(errors)
    made: list[float] = []
    real: Callable[..., Any] = getattr(store, name)

    def call(*arguments: Any) -> Any:
        made.append(time.monotonic())
        if left:
            raise left.pop(0)
        return real(*arguments)

    monkeypatch.setattr(store, name, call)
    return made


def test_a_store_gets_only_the_wrappers_that_are_asked_for(memory: MemoryStore):
    assert wrapped(memory, StoreCalls(retries=0), None, None) is memory
    kinds: list[type] = []
    store = wrapped(memory, StoreCalls(retries=2, max_streams=3), CallTimeout(seconds=1), Taken())
    while store is not memory:
        kinds.append(type(store))
        store = store.inner  # type: ignore[attr-defined]
    assert kinds == [RetryingStore, MeasuredStore, LimitedStore, TimedStore]


def test_a_write_passes_retries_without_a_call_of_its_own(memory: MemoryStore):
    """The upload has a budget of files and calls; retries are on by default."""
    store = wrapped(memory, StoreCalls(), None, None)
    assert store is not memory
    assert store.writer == memory.writer
    assert store.sweep == memory.sweep


class TestRetries:
    @pytest.fixture
    def waits(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        waits: list[float] = []
        monkeypatch.setattr("glimpse.stores.wrap.time.sleep", waits.append)
        return waits

    @pytest.mark.parametrize("name", ["reader", "size", "delete", "check_delete"])
    def test_a_passing_failure_is_tried_again(
        self, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch, waits: list[float], name: str
    ):
        url = put(memory)
        away = StoreUnavailable("away")
        made = failing(monkeypatch, memory, name, away, away)
        getattr(RetryingStore(memory, 2), name)(url)
        assert (len(made), waits) == (3, [0.2, 0.4])

    def test_at_last_the_failure_is_told(
        self, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch, waits: list[float]
    ):
        made = failing(monkeypatch, memory, "size", *[StoreUnavailable("away")] * 9)
        with pytest.raises(StoreUnavailable, match="away"):
            RetryingStore(memory, 1).size("memory://ram/image")
        assert (len(made), len(waits)) == (2, 1)

    @pytest.mark.parametrize("error", [DeletionDenied("no"), DataNotFound("no"), StoreBusy("no", 5), KeyError("no")])
    def test_other_failures_are_told_at_once(
        self, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch, waits: list[float], error: Exception
    ):
        made = failing(monkeypatch, memory, "delete", error)
        with pytest.raises(type(error)):
            RetryingStore(memory, 3).delete("memory://ram/image")
        assert (len(made), waits) == (1, [])

    @pytest.mark.parametrize("name", ["writer", "sweep"])
    def test_what_writes_is_not_repeated(
        self, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch, waits: list[float], name: str
    ):
        made = failing(monkeypatch, memory, name, StoreUnavailable("away"))
        arguments = ("image", 4, "try1") if name == "writer" else ("image", "try1")
        with pytest.raises(StoreUnavailable):
            getattr(RetryingStore(memory, 3), name)(*arguments)
        assert (len(made), waits) == (1, [])

    def test_a_call_that_took_long_is_not_repeated(
        self, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch, waits: list[float]
    ):
        clock = iter(range(0, 1000, 6))
        monkeypatch.setattr("glimpse.stores.wrap.time.monotonic", lambda: next(clock))
        left = [StoreUnavailable("away")]
        monkeypatch.setattr(memory, "size", lambda _url: (_ for _ in ()).throw(left.pop()))
        with pytest.raises(StoreUnavailable):
            RetryingStore(memory, 3).size("memory://ram/image")
        assert waits == []


class TestTimeLimits:
    @pytest.fixture
    def hanging(self, memory: MemoryStore) -> Iterator[threading.Event]:
        answer = threading.Event()
        yield answer
        answer.set()

    def limited(self, memory: MemoryStore, answer: threading.Event, name: str) -> tuple[TimedStore, list[Any]]:
        """A store whose call ``name`` hangs, and what that returns in the end."""
        results: list[Any] = []
        real: Callable[..., Any] = getattr(memory, name)

        def hang(*arguments: Any) -> Any:
            answer.wait(30)
            results.append(real(*arguments))
            return results[-1]

        setattr(memory, name, hang)
        return TimedStore(memory, CallTimeout(seconds=0.05)), results

    @pytest.mark.parametrize("name", ["reader", "size", "delete", "check_delete"])
    def test_a_call_that_hangs_is_given_up(self, memory: MemoryStore, hanging: threading.Event, name: str):
        url = put(memory)
        store, _ = self.limited(memory, hanging, name)
        with pytest.raises(StoreUnavailable, match="ram did not answer in"):
            getattr(store, name)(url)

    def test_a_reader_that_comes_too_late_is_closed(self, memory: MemoryStore, hanging: threading.Event):
        url = put(memory)
        store, results = self.limited(memory, hanging, "reader")
        with pytest.raises(StoreUnavailable):
            store.reader(url)
        hanging.set()
        store._calls._pool.shutdown(wait=True)
        with pytest.raises(ValueError, match="released"):
            results[0].read(4)

    def test_a_writer_that_comes_too_late_is_aborted(self, memory: MemoryStore, hanging: threading.Event):
        store, _ = self.limited(memory, hanging, "writer")
        with pytest.raises(StoreUnavailable):
            store.writer("image", 4, "try1")
        hanging.set()
        store._calls._pool.shutdown(wait=True)
        assert list(memory.objects()) == []

    def test_an_open_stream_may_take_any_time(self, memory: MemoryStore):
        store = TimedStore(memory, CallTimeout(seconds=0.05))
        writer = store.writer("image", None, "try1")
        time.sleep(0.1)
        writer.write(b"data")
        reader = store.reader(writer.commit().url)
        time.sleep(0.1)
        assert reader.read(9) == b"data"
        store.close()
        with pytest.raises(StoreUnavailable):
            store.size("memory://ram/image")


class TestLimits:
    def test_one_stream_more_than_allowed_is_busy(self, memory: MemoryStore):
        url = put(memory)
        store = LimitedStore(memory, 2)
        reader, writer = store.reader(url), store.writer("other", None, "try1")
        for open_another in (lambda: store.reader(url), lambda: store.writer("third", None, "try1")):
            with pytest.raises(StoreBusy, match="2 streams") as caught:
                open_another()
            assert caught.value.retry_seconds == 5
        assert store.size(url) == 4
        reader.close()
        reader.close()
        store.reader(url).close()
        writer.commit()
        writer.abort()
        first, second = store.reader(url), store.reader(url)
        with pytest.raises(StoreBusy):
            store.reader(url)
        first.close()
        second.close()

    def test_what_cannot_be_opened_takes_no_place(self, memory: MemoryStore):
        url = put(memory)
        store = LimitedStore(memory, 1)
        for _ in range(3):
            with pytest.raises(DataNotFound):
                store.reader("memory://ram/missing")
            with pytest.raises(Duplicate):
                store.writer("image", None, "try2")
        failed = store.writer("large", None, "try1")
        with pytest.raises(StoreFull):
            failed.write(bytes(2000))
        failed.abort()
        store.reader(url).close()


class TestMetrics:
    def test_calls_and_bytes(self, memory: MemoryStore):
        taken = Taken()
        store = MeasuredStore(memory, taken)
        url = put(store)
        reader = store.reader(url, 1)
        while reader.read(2):
            pass
        reader.close()
        reader.close()
        store.size(url)
        check = ability(store, DeletionCheck)
        assert check is not None
        check.check_delete(url)
        store.delete(url)
        store.sweep("image", "try1")
        names = [call for _, call, outcome in taken.calls if outcome == "ok"]
        assert names == ["create", "commit", "open", "size", "check_delete", "delete", "sweep"]
        assert taken.bytes == [("ram", "written", 4), ("ram", "read", 3)]

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (DataNotFound("x"), "answer"),
            (DeletionDenied("x"), "refused"),
            (StoreUnavailable("x"), "unavailable"),
            (StoreBusy("x", 1), "busy"),
            (KeyError("x"), "defect"),
        ],
    )
    def test_failures_by_kind(
        self, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch, error: Exception, outcome: str
    ):
        failing(monkeypatch, memory, "delete", error)
        taken = Taken()
        with pytest.raises(type(error)):
            MeasuredStore(memory, taken).delete("memory://ram/image")
        assert taken.calls == [("ram", "delete", outcome)]

    def test_an_aborted_write_counts_what_was_written(self, memory: MemoryStore):
        taken = Taken()
        writer = MeasuredStore(memory, taken).writer("image", None, "try1")
        writer.write(b"da")
        writer.abort()
        writer.abort()
        assert taken.bytes == [("ram", "written", 2)]


def test_abilities_are_found_through_all_wrappers(memory: MemoryStore):
    put(memory)
    store = wrapped(memory, StoreCalls(retries=1, max_streams=9), CallTimeout(seconds=9), Taken())
    listing = ability(store, Listing)
    assert listing is memory
    assert ability(store, DeletionCheck) is store
    store.close()
