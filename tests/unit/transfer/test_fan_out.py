"""One stream to several stores: each fails alone, and none gets more of the memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from glimpse.errors import StoreBusy, StoreFull, StoreUnavailable
from glimpse.stores.base import Bytes, Placed, Store, Writer
from glimpse.stores.memory import MemoryOptions, MemoryStore
from glimpse.transfer.fan_out import FanOut, TargetsFailed

IMAGE = "6b1f0a5e-0000-4000-8000-000000000001"
BATCHES = [bytes([number]) * 1000 for number in range(40)]
DATA = b"".join(BATCHES)
#: for stores that never make progress: nothing else takes so long
STALL = 2.0


class Faulty:
    """A writer of a real store, and what happens before each of its calls."""

    def __init__(self, inner: Writer, before: Callable[[str], None]) -> None:
        self._inner = inner
        self._before = before

    def write(self, data: Bytes) -> None:
        self._before("write")
        self._inner.write(data)

    def commit(self) -> Placed:
        self._before("commit")
        return self._inner.commit()

    def abort(self) -> bool:
        self._before("abort")
        return self._inner.abort()


class Gate:
    """Stops the calls of a name until it is opened."""

    def __init__(self, call: str) -> None:
        self._call = call
        self.reached, self._opened = threading.Event(), threading.Event()

    def __call__(self, call: str) -> None:
        if call == self._call:
            self.reached.set()
            assert self._opened.wait(60)

    def open(self) -> None:
        self._opened.set()


def failing(at: str, error: Exception, after: int = 0) -> Callable[[str], None]:
    calls: list[str] = []

    def before(call: str) -> None:
        calls.append(call)
        if call == at and calls.count(at) > after:
            raise error

    return before


def store(name: str) -> MemoryStore:
    return MemoryStore(name, MemoryOptions())


def writer_of(target: Store, before: Callable[[str], None] = lambda _: None) -> Callable[[], Writer]:
    return lambda: Faulty(target.writer(IMAGE, None, "attempt"), before)


def content(target: Store, placed: Placed) -> bytes:
    return target.reader(placed.url).read(1 << 20)


def is_empty(target: MemoryStore) -> bool:
    return list(target.objects()) == []


def feed(fan_out: FanOut) -> None:
    for batch in BATCHES:
        fan_out.write(batch)
    fan_out.flush()


def refuse() -> Writer:
    raise StoreUnavailable("The store is down.")


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate("write")
    yield made
    made.open()


def test_all_stores_get_the_same_data() -> None:
    stores = {name: store(name) for name in ("a", "b", "c")}
    fan_out = FanOut({name: writer_of(one) for name, one in stores.items()})
    feed(fan_out)
    assert all(found.url is None for one in stores.values() for found in one.objects()), "nothing is visible yet"
    placed = dict(fan_out.commit())
    assert {name: content(stores[name], one) for name, one in placed.items()} == dict.fromkeys(stores, DATA)
    assert (fan_out.abort(), fan_out.failures, fan_out.placed) == (frozenset(), {}, placed)


def test_no_data_make_empty_objects() -> None:
    stores = {name: store(name) for name in ("a", "b")}
    fan_out = FanOut({name: writer_of(one) for name, one in stores.items()}, all_must_succeed=True)
    fan_out.flush()
    assert {name: content(stores[name], one) for name, one in fan_out.commit()} == {"a": b"", "b": b""}


@pytest.mark.parametrize(("at", "after"), [("write", 0), ("write", 7), ("commit", 0)])
def test_a_store_that_fails_does_not_stop_the_others(at: str, after: int) -> None:
    good, bad = store("good"), store("bad")
    error = StoreFull("The store is full.")
    fan_out = FanOut({"bad": writer_of(bad, failing(at, error, after)), "good": writer_of(good)})
    feed(fan_out)
    placed = dict(fan_out.commit())
    assert list(placed) == ["good"]
    assert content(good, placed["good"]) == DATA
    assert fan_out.failures == {"bad": error}
    assert fan_out.abort() == frozenset()
    assert is_empty(bad)


def test_a_store_that_cannot_be_opened_fails_alone() -> None:
    good = store("good")
    fan_out = FanOut({"bad": refuse, "good": writer_of(good)})
    feed(fan_out)
    assert [name for name, _ in fan_out.commit()] == ["good"]
    assert isinstance(fan_out.failures["bad"], StoreUnavailable)
    assert fan_out.abort() == {"bad"}, "what is on its way to it may arrive"


def test_writing_ends_when_all_stores_have_failed() -> None:
    full, down = store("full"), store("down")
    fan_out = FanOut(
        {
            "full": writer_of(full, failing("write", StoreFull("The store is full."), 3)),
            "down": writer_of(down, failing("write", StoreUnavailable("The store is down."), 9)),
        }
    )
    with pytest.raises(TargetsFailed):
        feed(fan_out)
    assert sorted(fan_out.failures) == ["down", "full"]
    assert fan_out.abort() == {"down"}
    assert is_empty(full)
    assert is_empty(down)


def test_a_busy_store_was_not_asked_to_begin() -> None:
    def busy() -> Writer:
        raise StoreBusy("All streams are in use.", 5)

    fan_out = FanOut({"busy": busy})
    with pytest.raises(TargetsFailed):
        feed(fan_out)
    assert fan_out.abort() == frozenset()


def test_if_all_must_succeed_the_first_failure_ends_writing() -> None:
    good, bad = store("good"), store("bad")
    fan_out = FanOut(
        {"good": writer_of(good), "bad": writer_of(bad, failing("write", StoreFull("The store is full."), 5))},
        all_must_succeed=True,
    )
    with pytest.raises(TargetsFailed):
        feed(fan_out)
    assert fan_out.abort() == frozenset()
    assert list(fan_out.failures) == ["bad"]
    assert is_empty(good)
    assert is_empty(bad)


def test_what_was_committed_is_known_when_another_commit_fails() -> None:
    good, bad = store("good"), store("bad")
    fan_out = FanOut(
        {"good": writer_of(good), "bad": writer_of(bad, failing("commit", StoreFull("The store is full.")))},
        all_must_succeed=True,
    )
    feed(fan_out)
    assert [name for name, _ in fan_out.commit()] == ["good"]
    assert fan_out.abort() == frozenset()
    assert list(fan_out.placed) == ["good"]
    assert is_empty(bad)


@pytest.mark.parametrize("call", ["write", "commit"])
def test_a_store_that_makes_no_progress_fails_alone(call: str) -> None:
    gate = Gate(call)
    good, stuck = store("good"), store("stuck")
    fan_out = FanOut({"stuck": writer_of(stuck, gate), "good": writer_of(good)}, stall_seconds=STALL)
    try:
        feed(fan_out)
        placed = dict(fan_out.commit())
        assert list(placed) == ["good"]
        assert content(good, placed["good"]) == DATA
        assert isinstance(fan_out.failures["stuck"], StoreUnavailable)
        assert fan_out.abort() == {"stuck"}
    finally:
        gate.open()


def test_a_store_that_goes_on_too_late_publishes_nothing(gate: Gate) -> None:
    stuck = store("stuck")
    fan_out = FanOut({"stuck": writer_of(stuck, gate)}, stall_seconds=STALL)
    with pytest.raises(TargetsFailed):
        feed(fan_out)
    assert fan_out.abort() == {"stuck"}
    gate.open()
    for thread in threading.enumerate():
        if thread.name == "store-stuck":
            thread.join(60)
    assert is_empty(stuck)


def test_a_store_that_waits_for_data_makes_progress() -> None:
    target = store("a")
    fan_out = FanOut({"a": writer_of(target)}, stall_seconds=0.2)
    fan_out.write(b"first")
    fan_out.flush()
    assert not threading.Event().wait(0.5)
    fan_out.write(b"second")
    fan_out.flush()
    assert [content(target, placed) for _, placed in fan_out.commit()] == [b"firstsecond"]


def test_a_fast_store_is_at_most_a_few_batches_ahead(gate: Gate) -> None:
    written: list[str] = []
    slow, fast = store("slow"), store("fast")
    fan_out = FanOut({"slow": writer_of(slow, gate), "fast": writer_of(fast, written.append)}, depth=3)
    handed: list[int] = []

    def hand_over() -> None:
        for number, batch in enumerate(BATCHES):
            fan_out.write(batch)
            handed.append(number)

    feeder = threading.Thread(target=hand_over)
    feeder.start()
    assert gate.reached.wait(60)
    feeder.join(1.0)
    assert feeder.is_alive(), "the slow store has no room"
    assert len(handed) <= 3
    assert len(written) <= 3
    gate.open()
    feeder.join(60)
    fan_out.flush()
    assert len(dict(fan_out.commit())) == 2


def test_waiting_can_be_interrupted(gate: Gate) -> None:
    class Cancelled(Exception):
        pass

    def cancelled() -> None:
        raise Cancelled

    slow = store("slow")
    fan_out = FanOut({"slow": writer_of(slow, gate)}, while_waiting=cancelled)
    with pytest.raises(Cancelled):
        feed(fan_out)
    gate.open()
    assert fan_out.abort() == frozenset()
    assert is_empty(slow)
    assert fan_out.failures == {}


def test_abort_leaves_nothing() -> None:
    stores = {name: store(name) for name in ("a", "b")}
    fan_out = FanOut({name: writer_of(one) for name, one in stores.items()})
    feed(fan_out)
    assert fan_out.abort() == frozenset()
    assert fan_out.abort() == frozenset()
    assert all(is_empty(one) for one in stores.values())


def test_a_store_that_holds_the_others_up_fails(gate: Gate) -> None:
    good, other, stuck = store("good"), store("other"), store("stuck")
    fan_out = FanOut(
        {"stuck": writer_of(stuck, gate), "good": writer_of(good), "other": writer_of(other)}, patience_seconds=STALL
    )
    feed(fan_out)
    placed = dict(fan_out.commit())
    assert {name: content(one, placed[name]) for name, one in (("good", good), ("other", other))} == {
        "good": DATA,
        "other": DATA,
    }
    assert "held the others up" in str(fan_out.failures["stuck"])
    assert fan_out.abort() == {"stuck"}
    gate.open()
    for thread in threading.enumerate():
        if thread.name == "store-stuck":
            thread.join(60)
    assert is_empty(stuck)


@pytest.mark.parametrize(("least_rate", "stays"), [(1, True), (1 << 30, False)])
def test_a_slow_store_that_takes_enough_is_waited_for(least_rate: int, stays: bool) -> None:
    pause = threading.Event()

    def slowly(call: str) -> None:
        if call == "write":
            pause.wait(0.1)

    good, slow = store("good"), store("slow")
    fan_out = FanOut(
        {"slow": writer_of(slow, slowly), "good": writer_of(good)}, patience_seconds=0.5, least_rate=least_rate
    )
    feed(fan_out)
    assert sorted(dict(fan_out.commit())) == (["good", "slow"] if stays else ["good"])
    fan_out.abort()


def test_where_all_must_succeed_a_slow_store_is_waited_for(gate: Gate) -> None:
    stores = {name: store(name) for name in ("slow", "good")}
    fan_out = FanOut(
        {"slow": writer_of(stores["slow"], gate), "good": writer_of(stores["good"])},
        all_must_succeed=True,
        patience_seconds=0.1,
    )
    threading.Timer(1.5, gate.open).start()
    feed(fan_out)
    assert len(dict(fan_out.commit())) == 2
    fan_out.abort()


def test_stores_come_in_the_order_of_the_targets() -> None:
    gate, fast = Gate("commit"), threading.Event()
    first, second = store("first"), store("second")
    fan_out = FanOut({"first": writer_of(first, gate), "second": writer_of(second, lambda call: note(call, fast))})
    feed(fan_out)
    names: list[str] = []
    reader = threading.Thread(target=lambda: names.extend(name for name, _ in fan_out.commit()))
    reader.start()
    assert gate.reached.wait(60)
    assert fast.wait(60)
    gate.open()
    reader.join(60)
    assert names == ["first", "second"]


def note(call: str, event: threading.Event) -> None:
    if call == "commit":
        event.set()


def test_the_first_store_is_not_waited_for_for_ever() -> None:
    gate = Gate("commit")
    first, second = store("first"), store("second")
    fan_out = FanOut({"first": writer_of(first, gate), "second": writer_of(second)}, order_seconds=0.2)
    feed(fan_out)
    names: list[str] = []
    for name, _ in fan_out.commit():
        names.append(name)
        gate.open()
    assert names == ["second", "first"]
