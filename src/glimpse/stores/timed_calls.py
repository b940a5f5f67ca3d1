"""Timeouts on calls of a store: a store that hangs blocks a limited number of threads and no other store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from threading import Lock, Thread
from typing import Any, ParamSpec, TypeVar

import msgspec

from glimpse.errors import StoreUnavailable

LOG = logging.getLogger(__name__)

#: Seconds that the service waits for a store at start; it starts without a store that takes longer.
START_SECONDS = 10.0

P = ParamSpec("P")
T = TypeVar("T")


class CallTimeout(msgspec.Struct, frozen=True, kw_only=True):
    """The timeout of a call in ``seconds``, and the number of ``threads`` that make such calls.

    A warning is logged when more than ``warn_above`` per cent of the threads are busy.
    """

    seconds: float
    threads: int = 32
    warn_above: int = 75


class TimedCalls:
    """Makes the calls of one store in threads of its own, each with a timeout.

    A call that hangs keeps its thread until the store answers. When all threads hang, further calls time out as well,
    so the number of threads is bounded. No thread is started before the first call.
    """

    def __init__(self, store_id: str, timeout: CallTimeout) -> None:
        self._store_id = store_id
        self._timeout = timeout
        self._warn_above = timeout.threads * timeout.warn_above / 100
        self._pool = ThreadPoolExecutor(timeout.threads, f"store-{store_id}")
        self._lock = Lock()
        self._busy = 0

    def bounded(self, call: Callable[P, T], late: Callable[[T], None] | None = None) -> Callable[P, T]:
        """Return ``call`` with the timeout, after which it raises StoreUnavailable.

        A call in progress may still finish; its result is then passed to ``late``.
        """

        def timed(*args: P.args, **kwargs: P.kwargs) -> T:
            return self._wait(partial(call, *args, **kwargs), late)

        return timed

    def close(self) -> None:
        """Accept no more calls; does not wait for those that hang."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _wait(self, call: Callable[[], T], late: Callable[[T], None] | None) -> T:
        self._count(1)
        try:
            # log lines of the thread carry the request id
            future = self._pool.submit(copy_context().run, call)
        except RuntimeError as error:
            self._count(-1)
            raise StoreUnavailable(f"Store {self._store_id} is closed.") from error
        future.add_done_callback(self._ended)
        if not wait((future,), self._timeout.seconds).done:
            if not future.cancel() and late is not None:
                future.add_done_callback(partial(_hand_over, late))
            raise StoreUnavailable(f"Store {self._store_id} did not answer in {self._timeout.seconds:g} s.")
        return future.result()

    def _ended(self, _: Future[Any]) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._busy += change
            crossed = change > 0 and self._busy - change <= self._warn_above < self._busy
            busy = self._busy
        if crossed:
            LOG.warning("Store %s: %d of its %d threads are busy", self._store_id, busy, self._timeout.threads)


def _hand_over(late: Callable[[T], None], future: Future[T]) -> None:
    try:
        result = future.result()
    except (Exception, CancelledError):  # noqa: BLE001 - the caller already has an error; there is no result to drop
        return
    late(result)


def within(seconds: float, call: Callable[[], T], what: str) -> T:
    """Return or raise the result of ``call``, waiting at most ``seconds``; for the start, when a store may hang.

    The call runs in a daemon thread of its own.

    :raises StoreUnavailable: ``what`` takes longer.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            future.set_exception(error)

    Thread(target=run, name="store-start", daemon=True).start()
    if not wait((future,), seconds).done:
        raise StoreUnavailable(f"{what} did not answer in {seconds:g} s.")
    return future.result()
