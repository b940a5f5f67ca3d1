"""Wrappers over the store protocol for features that all stores share: timeouts, stream limits, metrics, retries.

:func:`wrapped` combines them; a store gets only the wrappers that its options ask for. A wrapper replaces the calls
that it changes. All other calls are the bound methods of the wrapped store and cost nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import ParamSpec, Protocol, TypeVar

from glimpse.errors import Busy, GlimpseError, Refused, StoreBusy, StoreUnavailable, Unavailable
from glimpse.settings.model import StoreCalls
from glimpse.stores.base import (
    AdoptsFiles,
    Bytes,
    DeletionCheck,
    Placed,
    Probed,
    Reader,
    ReadsNow,
    Store,
    Writer,
    ability,
)
from glimpse.stores.health import StoreHealth
from glimpse.stores.timed_calls import CallTimeout, TimedCalls

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds before the first retry; the pause doubles with each further one.
_FIRST_PAUSE = 0.2
#: A call that took longer (seconds) is not retried: the client has waited long enough.
_LONGEST_REPEATED = 5.0
#: ``Retry-After`` in seconds when all streams are in use.
_BUSY_SECONDS = 5


class StoreMetrics(Protocol):
    """Records store calls. Thread-safe; never blocks or raises."""

    def store_call(self, store: str, call: str, outcome: str, seconds: float) -> None:
        """Record the end of a call: ``ok``, ``refused``, ``unavailable``, ``busy``, ``answer`` (no such object) or
        ``defect``.
        """
        ...

    def store_bytes(self, store: str, direction: str, count: int) -> None:
        """Record the end of a stream and its bytes; ``direction`` is ``read`` or ``written``."""
        ...


def wrapped(
    store: Store,
    calls: StoreCalls,
    timeout: CallTimeout | None,
    metrics: StoreMetrics | None,
    health: StoreHealth | None = None,
) -> Store:
    """Return ``store`` with the wrappers that ``calls``, ``timeout`` and ``metrics`` ask for.

    Each attempt of a retried call has its own timeout and is counted separately. ``health`` takes note of how the
    calls of a store that can be probed ended.
    """
    if timeout is not None:
        store = TimedStore(store, timeout)
    if calls.max_streams:
        store = LimitedStore(store, calls.max_streams)
    if metrics is not None:
        store = MeasuredStore(store, metrics)
    if calls.retries:
        store = RetryingStore(store, calls.retries)
    if health is not None and ability(store, Probed) is not None:
        store = WatchedStore(store, health)
    return store


class Wrapper:
    """Implements ``stores.base.Store`` with the calls of ``inner``; subclasses replace some of them.

    Abilities of ``inner`` are found through the wrapper (:func:`glimpse.stores.base.ability`).
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.id = inner.id
        self.scheme = inner.scheme
        self.writable = inner.writable
        self.writer = inner.writer
        self.reader = inner.reader
        self.delete = inner.delete
        self.size = inner.size
        self.sweep = inner.sweep
        self.close = inner.close

    def _change_deletion_check(self, change: Callable[[Callable[[str], None]], Callable[[str], None]]) -> None:
        """Offer the deletion check of ``inner``, if it has one, changed by ``change``."""
        check = ability(self.inner, DeletionCheck)
        if check is not None:
            self.check_delete = change(check.check_delete)


class TimedStore(Wrapper):
    """Sets a timeout on calls. Reading and writing an open stream, and its commit, have none."""

    def __init__(self, inner: Store, timeout: CallTimeout) -> None:
        super().__init__(inner)
        self._calls = TimedCalls(inner.id, timeout)
        bounded = self._calls.bounded
        self.writer = bounded(inner.writer, late=_abort)
        self.reader = bounded(inner.reader, late=_close)
        self.delete = bounded(inner.delete)
        self.size = bounded(inner.size)
        self.sweep = bounded(inner.sweep)
        self.close = self._close_all
        self._change_deletion_check(bounded)

    def _close_all(self) -> None:
        self._calls.close()
        self.inner.close()


def _abort(writer: Writer) -> None:
    writer.abort()


def _close(reader: Reader) -> None:
    reader.close()


class RetryingStore(Wrapper):
    """Retries idempotent calls after temporary failures; never a call that writes."""

    def __init__(self, inner: Store, retries: int) -> None:
        super().__init__(inner)
        self._pauses = tuple(_FIRST_PAUSE * 2**attempt for attempt in range(retries))
        self.reader = self._retried(inner.reader)
        self.delete = self._retried(inner.delete)
        self.size = self._retried(inner.size)
        self._change_deletion_check(self._retried)

    def _retried(self, call: Callable[P, T]) -> Callable[P, T]:
        def attempt(*args: P.args, **kwargs: P.kwargs) -> T:
            for pause in self._pauses:
                started = time.monotonic()
                try:
                    return call(*args, **kwargs)
                except StoreUnavailable as error:
                    if isinstance(error, Busy) or time.monotonic() - started > _LONGEST_REPEATED:
                        raise
                time.sleep(pause)
            return call(*args, **kwargs)

        return attempt


class WatchedStore(Wrapper):
    """Tells ``health`` after a call that reads or deletes if its end contradicts what is known of the store."""

    def __init__(self, inner: Store, health: StoreHealth) -> None:
        super().__init__(inner)
        self._health = health
        self.reader = self._watched(inner.reader)
        self.delete = self._watched(inner.delete)
        self.size = self._watched(inner.size)

    def _watched(self, call: Callable[P, T]) -> Callable[P, T]:
        def watched(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                result = call(*args, **kwargs)
            except StoreUnavailable as error:
                if not isinstance(error, Busy):
                    self._health.noticed(self.id, worked=False)
                raise
            if self.id in self._health.down_ids:
                self._health.noticed(self.id, worked=True)
            return result

        return watched


class LimitedStore(Wrapper):
    """Opens at most ``most`` streams at the same time, readers and writers together."""

    def __init__(self, inner: Store, most: int) -> None:
        super().__init__(inner)
        self._most = most
        self._open = 0
        self._lock = Lock()
        self._writer, self._reader = inner.writer, inner.reader
        self.writer = self._limited_writer
        self.reader = self._limited_reader

    def _limited_writer(self, image_id: str, size: int | None, attempt: str) -> Writer:
        self._take()
        try:
            return _EndingWriter(self._writer(image_id, size, attempt), self._give_back)
        except BaseException:
            self._give_back()
            raise

    def _limited_reader(self, url: str, offset: int = 0, length: int | None = None) -> Reader:
        self._take()
        try:
            return _EndingReader(self._reader(url, offset, length), self._give_back)
        except BaseException:
            self._give_back()
            raise

    def _take(self) -> None:
        with self._lock:
            if self._open >= self._most:
                raise StoreBusy(f"Store {self.id} has {self._most} streams open, its maximum.", _BUSY_SECONDS)
            self._open += 1

    def _give_back(self) -> None:
        with self._lock:
            self._open -= 1


class MeasuredStore(Wrapper):
    """Reports each call to ``metrics``, and the bytes of each stream when it ends."""

    def __init__(self, inner: Store, metrics: StoreMetrics) -> None:
        super().__init__(inner)
        self._metrics = metrics
        self._open_writer = self._measured("create", inner.writer)
        self._open_reader = self._measured("open", inner.reader)
        self.writer = self._measured_writer
        self.reader = self._measured_reader
        self.delete = self._measured("delete", inner.delete)
        self.size = self._measured("size", inner.size)
        self.sweep = self._measured("sweep", inner.sweep)
        self._change_deletion_check(lambda check: self._measured("check_delete", check))

    def _measured_writer(self, image_id: str, size: int | None, attempt: str) -> Writer:
        writer = self._open_writer(image_id, size, attempt)
        counted = _CountingWriter(writer, lambda: self._metrics.store_bytes(self.id, "written", counted.count))
        counted.publish = self._measured("commit", writer.commit)
        return counted

    def _measured_reader(self, url: str, offset: int = 0, length: int | None = None) -> Reader:
        reader = self._open_reader(url, offset, length)
        counted = _CountingReader(reader, lambda: self._metrics.store_bytes(self.id, "read", counted.count))
        return counted

    def _measured(self, name: str, call: Callable[P, T]) -> Callable[P, T]:
        def measured(*args: P.args, **kwargs: P.kwargs) -> T:
            started = time.monotonic()
            outcome = "ok"
            try:
                return call(*args, **kwargs)
            except BaseException as error:
                outcome = _outcome(error)
                raise
            finally:
                self._metrics.store_call(self.id, name, outcome, time.monotonic() - started)

        return measured


def _outcome(error: BaseException) -> str:
    match error:
        case Refused():
            return "refused"
        case Busy():
            return "busy"
        case Unavailable():
            return "unavailable"
        case GlimpseError():
            return "answer"
        case _:
            return "defect"


class _EndingWriter:
    """A writer that calls ``on_end`` once, after its commit or abort. It offers ``adopt`` if ``inner`` does."""

    def __init__(self, inner: Writer, on_end: Callable[[], None]) -> None:
        self._inner = inner
        self._on_end: Callable[[], None] | None = on_end
        self.publish = inner.commit
        self.write = inner.write
        if isinstance(inner, AdoptsFiles):
            self.adopt = inner.adopt

    def commit(self) -> Placed:
        placed = self.publish()
        self._end()
        return placed

    def abort(self) -> bool:
        removed = self._inner.abort()
        self._end()
        return removed

    def _end(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()


class _CountingWriter(_EndingWriter):
    """Counts the bytes written; those of an adopted file are not."""

    def __init__(self, inner: Writer, on_end: Callable[[], None]) -> None:
        super().__init__(inner, on_end)
        self.count = 0
        self._write = inner.write
        self.write = self._counted
        if isinstance(inner, AdoptsFiles):
            self._adopt = inner.adopt
            self.adopt = self._uncounted

    def _uncounted(self, fd: int) -> bool:
        adopted = self._adopt(fd)
        if adopted:
            self.write = self._write
        return adopted

    def _counted(self, data: Bytes) -> None:
        self._write(data)
        self.count += len(data)


class _EndingReader:
    """A reader that calls ``on_end`` once, when it is closed. It offers ``read_now`` if ``inner`` does."""

    def __init__(self, inner: Reader, on_end: Callable[[], None]) -> None:
        self._inner = inner
        self._on_end: Callable[[], None] | None = on_end
        self.read = inner.read
        if isinstance(inner, ReadsNow):
            self.read_now = inner.read_now

    @property
    def length(self) -> int | None:
        return self._inner.length

    def close(self) -> None:
        self._inner.close()
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()


class _CountingReader(_EndingReader):
    """Counts the bytes read."""

    def __init__(self, inner: Reader, on_end: Callable[[], None]) -> None:
        super().__init__(inner, on_end)
        self.count = 0
        self._read = inner.read
        self.read = self._counted
        if isinstance(inner, ReadsNow):
            self._read_now = inner.read_now
            self.read_now = self._counted_now

    def _counted(self, size: int) -> bytes:
        part = self._read(size)
        self.count += len(part)
        return part

    def _counted_now(self, size: int) -> bytes | None:
        part = self._read_now(size)
        if part is not None:
            self.count += len(part)
        return part
