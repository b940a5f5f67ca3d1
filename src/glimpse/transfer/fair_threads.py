"""A thread pool in which no party uses more than its share, however long its work waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

#: The parties that a task counts for: pairs of a kind (``project``, ``source``) and a name.
Parties = tuple[tuple[str, str], ...]


class Submits(Protocol):
    """Runs work in other threads: an executor, or a :class:`Lane`."""

    def submit(self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Run ``work(*arguments)`` as soon as a thread is available.

        :raises RuntimeError: the threads have been shut down.
        """
        ...


class _Task:
    __slots__ = ("arguments", "future", "parties", "work")

    def __init__(self, parties: Parties, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.parties = parties
        self.work = work
        self.arguments = arguments
        self.future: Future[Any] = Future()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.work(*self.arguments)
        except BaseException as error:  # noqa: BLE001 - passed on to the caller that waits for the result
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class FairThreads:
    """``count`` threads. The work of a party waits while the party uses its full share of them.

    Work of the same parties runs in the order of submission; parties whose work waits take turns.
    """

    def __init__(self, name: str, count: int, shares: Mapping[str, int] | None = None) -> None:
        """``shares`` are the maximum threads of a party by its kind, at least one; the default is half of them."""
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._shares = dict(shares or {})
        self._half = max(1, count // 2)
        self._running: dict[tuple[str, str], int] = {}
        self._waiting: dict[Parties, deque[_Task]] = {}
        self._unfinished = 0
        self._ending = False
        self._changed = threading.Condition()

    def submit(self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Run work that belongs to no party and is not limited by a share. See :meth:`Submits.submit`."""
        return self._submit((), work, arguments)

    def lane(self, **parties: str) -> Lane:
        """Return the lane for the work of these parties, given as names by kind."""
        return Lane(self, tuple(parties.items()))

    def shutdown(self) -> None:
        """Accept no more work, and return when all accepted work is done."""
        with self._changed:
            self._ending = True
            while self._unfinished:
                self._changed.wait()
        self._pool.shutdown(wait=True)

    def _submit(self, parties: Parties, work: Callable[..., T], arguments: tuple[Any, ...]) -> Future[T]:
        task = _Task(parties, work, arguments)
        with self._changed:
            if self._ending:
                raise RuntimeError("the threads have been shut down")
            self._unfinished += 1
            if parties in self._waiting or not self._has_room(parties):
                self._waiting.setdefault(parties, deque()).append(task)
            else:
                self._begin(task)
        return task.future

    def _has_room(self, parties: Parties) -> bool:
        running, shares, half = self._running, self._shares, self._half
        return all(running.get(party, 0) < shares.get(party[0], half) for party in parties)

    def _begin(self, task: _Task) -> None:
        for party in task.parties:
            self._running[party] = self._running.get(party, 0) + 1
        self._pool.submit(self._run, task)

    def _run(self, task: _Task) -> None:
        try:
            task.run()
        finally:
            with self._changed:
                self._end(task)

    def _end(self, task: _Task) -> None:
        self._unfinished -= 1
        for party in task.parties:
            left = self._running[party] - 1
            if left:
                self._running[party] = left
            else:
                del self._running[party]
        for parties in list(self._waiting):
            if self._has_room(parties):
                # move these parties behind all others that wait
                tasks = self._waiting.pop(parties)
                self._begin(tasks.popleft())
                if tasks:
                    self._waiting[parties] = tasks
        if not self._unfinished:
            self._changed.notify_all()


class Lane:
    """Submits work for certain parties to a pool."""

    __slots__ = ("_parties", "_threads")

    def __init__(self, threads: FairThreads, parties: Parties) -> None:
        self._threads = threads
        self._parties = parties

    def submit(self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """See :meth:`Submits.submit`."""
        return self._threads._submit(self._parties, work, arguments)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - its other half
