"""Token cache of one process: identities for some seconds, and checks in progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from glimpse.auth.base import Identity

T = TypeVar("T")


class TokenCache:
    """Caches identities by digest until they expire. Thread-safe; reading never waits."""

    def __init__(self, most: int = 4096) -> None:
        """``most`` is the number of identities; the oldest is dropped first."""
        self._most = most
        self._known: dict[bytes, tuple[Identity, float]] = {}
        self._lock = threading.Lock()

    def get(self, digest: bytes) -> Identity | None:
        """Return the identity if it is cached and has not expired."""
        known = self._known.get(digest)
        return known[0] if known is not None and time.monotonic() < known[1] else None

    def has(self, digest: bytes) -> bool:
        """Tell whether the identity is in the cache, even if it has expired."""
        return digest in self._known

    def put(self, digest: bytes, identity: Identity, seconds: float) -> None:
        """Cache ``identity`` for ``seconds``, if that is more than 0."""
        if seconds <= 0:
            return
        with self._lock:
            # moves an existing entry to the end of the order
            self._known.pop(digest, None)
            self._known[digest] = (identity, time.monotonic() + seconds)
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]


class SingleFlight(Generic[T]):
    """Runs a piece of work once for all threads that request it at the same time."""

    def __init__(self) -> None:
        self._running: dict[object, Future[T]] = {}
        self._lock = threading.Lock()

    def run(self, key: object, work: Callable[[], T]) -> T:
        """Return or raise the result of ``work``, run here or in the thread that asked first."""
        mine: Future[T] = Future()
        with self._lock:
            running = self._running.setdefault(key, mine)
        if running is not mine:
            return running.result()
        try:
            result = work()
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(result)
            return result
        finally:
            with self._lock:
                del self._running[key]
