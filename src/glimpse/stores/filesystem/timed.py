"""Calls into the file system that are given up after a while, for network file systems that stop answering."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from glimpse.errors import StoreUnavailable
from glimpse.stores.filesystem.options import FilesystemOptions

LOG = logging.getLogger(__name__)

T = TypeVar("T")


class TimedCalls:
    """Runs stat, unlink and free-space calls, in a pool of threads when ``filesystem_store_timeout`` is set.

    A call that hangs keeps its thread until the file system answers. When all threads hang, further calls time
    out as well: nothing piles up beyond the pool.
    """

    def __init__(self, store_id: str, options: FilesystemOptions) -> None:
        self._store_id = store_id
        self._seconds = options.filesystem_store_timeout
        self._threads = options.filesystem_store_thread_pool_size
        self._warn_above = self._threads * options.filesystem_store_threadpool_threshold / 100
        self._pool = ThreadPoolExecutor(self._threads, f"store-{store_id}") if self._seconds else None
        self._lock = Lock()
        self._busy = 0

    def bounded(self, call: Callable[[str], T]) -> Callable[[str], T]:
        """``call`` as :meth:`run` makes it; without ``filesystem_store_timeout`` that is ``call`` itself."""
        return call if self._pool is None else partial(self.run, call)

    def run(self, call: Callable[[str], T], path: str) -> T:
        """Return what ``call(path)`` returns, or raise what it raises.

        :raises StoreUnavailable: the time is over; a call that has begun may still come to its end.
        """
        if self._pool is None:
            return call(path)
        self._count(1)
        future = self._pool.submit(call, path)
        future.add_done_callback(self._ended)
        if not wait((future,), self._seconds).done:
            future.cancel()
            raise StoreUnavailable(f"The file system of store {self._store_id} did not answer in {self._seconds} s.")
        return future.result()

    def _ended(self, _: Future[Any]) -> None:
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._busy += change
            crossed = change > 0 and self._busy - change <= self._warn_above < self._busy
            busy = self._busy
        if crossed:
            LOG.warning("Store %s: %d of %d file system threads are busy", self._store_id, busy, self._threads)
