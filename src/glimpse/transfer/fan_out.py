"""One stream written to several stores together: each has a thread and its own errors.

The threads share the batches. At most ``depth`` of them wait for the slowest store that still works, so the memory that
is used does not grow with the number of stores, and the source is read as fast as that store writes. A store that fails
stops only its own writing. One that holds the others up, and takes next to nothing meanwhile, fails.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from enum import Enum, auto
from itertools import takewhile
from time import monotonic
from typing import Final

from glimpse.errors import StoreBusy, StoreUnavailable
from glimpse.stores.base import Placed, Writer

#: Batches that may wait for a store while the next one is read.
DEPTH: Final = 4
#: Seconds that one call of a store may take: far beyond the time-outs of the stores themselves.
STALL_SECONDS: Final = 900.0
#: A store that has held the others up for so many seconds in total must have taken so many bytes in each of them. Most
#: stores are not away for so long when one of their servers is replaced.
PATIENCE_SECONDS: Final = 120.0
LEAST_RATE: Final = 64 << 10
#: Seconds for which a store that has committed waits for those before it, so that the order is that of the targets.
ORDER_SECONDS: Final = 30.0
#: Seconds between calls of ``while_waiting``.
_TICK: Final = 0.5


class TargetsFailed(Exception):
    """Writing is over, because of failures: :attr:`FanOut.failures` has them."""


class _Abandoned(Exception):
    """Ends a thread whose data are not wanted any more."""


class _Order(Enum):
    WRITE = auto()
    COMMIT = auto()
    ABORT = auto()


class _Branch:
    """One store; shared by two threads, under the condition of the :class:`FanOut`."""

    __slots__ = (
        "busy_since",
        "error",
        "hangs",
        "held_up",
        "is_open",
        "name",
        "opens",
        "order",
        "over",
        "placed",
        "queue",
        "removed",
        "taken",
    )

    def __init__(self, name: str, opens: Callable[[], Writer]) -> None:
        self.name = name
        self.opens = opens
        self.queue: deque[bytes] = deque()
        self.order = _Order.WRITE
        #: when the call of the store began that is under way
        self.busy_since: float | None = None
        self.error: BaseException | None = None
        self.placed: Placed | None = None
        #: whether it has a writer
        self.is_open = False
        #: whether its thread has ended, and whether that has left nothing in the store
        self.over = False
        self.removed = False
        #: whether a call took too long: its thread is not waited for
        self.hangs = False
        #: seconds for which the others were held up by this store since it was last found to be fast enough, and the
        #: bytes that it has taken since
        self.held_up = 0.0
        self.taken = 0

    @property
    def is_settled(self) -> bool:
        return self.over or self.hangs


class FanOut:
    """Writers of the same data, fed, committed or aborted together by one thread.

    Begin with :meth:`write` for each batch. Then :meth:`commit`, and in any case :meth:`abort` at the end.
    """

    def __init__(
        self,
        targets: Mapping[str, Callable[[], Writer]],
        *,
        all_must_succeed: bool = False,
        depth: int = DEPTH,
        stall_seconds: float = STALL_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        least_rate: int = LEAST_RATE,
        order_seconds: float = ORDER_SECONDS,
        while_waiting: Callable[[], None] | None = None,
    ) -> None:
        """Start a thread for each of ``targets``, which open the writers of stores by name.

        :param all_must_succeed: writing ends with the first failure, and not only with the last one.
        :param stall_seconds: a store fails when one of its calls takes longer.
        :param patience_seconds: unless all must succeed, a store fails as well when it has held the others up for so
            long and has taken less than ``least_rate`` bytes for each of these seconds.
        :param order_seconds: see :meth:`commit`.
        :param while_waiting: called about twice per second while a call here waits for a store; what it raises ends
            that call.
        """
        self._branches = {name: _Branch(name, opens) for name, opens in targets.items()}
        self._all_must_succeed = all_must_succeed
        self._depth = depth
        self._stall_seconds = stall_seconds
        self._patience_seconds = patience_seconds
        self._least_rate = least_rate
        self._order_seconds = order_seconds
        self._while_waiting = while_waiting
        self._changed = threading.Condition()
        for branch in self._branches.values():
            context = copy_context()
            threading.Thread(
                target=context.run, args=(self._work, branch), name=f"store-{branch.name}", daemon=True
            ).start()

    @property
    def failures(self) -> dict[str, BaseException]:
        """The errors of the stores that have failed, by name."""
        with self._changed:
            return {branch.name: branch.error for branch in self._branches.values() if branch.error is not None}

    @property
    def placed(self) -> dict[str, Placed]:
        """What the stores have committed, by name, also after :meth:`commit` was interrupted."""
        with self._changed:
            return {
                branch.name: branch.placed
                for branch in self._branches.values()
                if branch.placed is not None and branch.error is None
            }

    def write(self, batch: bytes) -> None:
        """Hand ``batch`` to all stores that work, once the slowest of them has room for it.

        :raises TargetsFailed: all stores have failed, or one has and all must succeed.
        """
        self._wait_for_all(lambda branch: len(branch.queue) < self._depth)
        with self._changed:
            self._require_working()
            for branch in self._working():
                branch.queue.append(batch)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until every store that works has taken everything that was written.

        :raises TargetsFailed: see :meth:`write`.
        """
        self._wait_for_all(lambda branch: not branch.queue and branch.is_open)
        with self._changed:
            self._require_working()

    def commit(self) -> Iterator[tuple[str, Placed]]:
        """Commit all stores that work together, and yield the names and results of those that succeed.

        They come in the order of the targets, so that it does not depend on their speed; but the first store that has
        not ended is waited for at most ``order_seconds`` longer than the next one that has. The others are in
        :attr:`failures` when the iteration ends. If all must succeed, call :meth:`flush` before, so that no store
        commits when another one has failed to write.
        """
        with self._changed:
            waiting = self._working()
            for branch in waiting:
                branch.order = _Order.COMMIT
            self._changed.notify_all()
        while waiting:
            self._wait_until(lambda: any(branch.is_settled for branch in waiting))
            self._wait_in_order(waiting[0])
            with self._changed:
                settled = [branch for branch in waiting if branch.is_settled]
                if waiting[0].is_settled:
                    settled = list(takewhile(lambda branch: branch.is_settled, waiting))
            for branch in settled:
                waiting.remove(branch)
                if branch.placed is not None and branch.error is None:
                    yield branch.name, branch.placed

    def abort(self) -> frozenset[str]:
        """End everything that is not committed, and return the names of stores that may still have some of the data.

        What these have is to be swept later. Waits for the stores, at most ``stall_seconds``, and does not call
        ``while_waiting``. Safe to call twice.
        """
        with self._changed:
            for branch in self._branches.values():
                if not branch.over:
                    branch.order = _Order.ABORT
            self._changed.notify_all()
        self._wait_until(lambda: all(branch.is_settled for branch in self._branches.values()), tells=False)
        with self._changed:
            return frozenset(
                branch.name
                for branch in self._branches.values()
                if (branch.placed is None or branch.error is not None) and not (branch.over and branch.removed)
            )

    def _working(self) -> list[_Branch]:
        return [branch for branch in self._branches.values() if branch.error is None and branch.placed is None]

    def _is_over(self) -> bool:
        failed = any(branch.error is not None for branch in self._branches.values())
        return failed and (self._all_must_succeed or not self._working())

    def _require_working(self) -> None:
        if self._is_over():
            raise TargetsFailed

    def _wait_for_all(self, has_room: Callable[[_Branch], bool]) -> None:
        """Wait until all stores that work have room, or writing is over; those that hold the others up may fail."""

        late: list[_Branch] = []
        seen = monotonic()

        def holds() -> bool:
            nonlocal late, seen
            now, since = monotonic(), seen
            seen = now
            for branch in late:
                # the process may have been stopped meanwhile
                self._hold_up(branch, min(now - since, 2 * _TICK))
            if self._is_over():
                return True
            working = self._working()
            late = [branch for branch in working if not has_room(branch)]
            done = not late
            if self._all_must_succeed or len(late) == len(working):
                late = []
            return done

        self._wait_until(holds)

    def _hold_up(self, branch: _Branch, seconds: float) -> None:
        branch.held_up += seconds
        if branch.held_up < self._patience_seconds or branch.error is not None:
            return
        if branch.taken < self._least_rate * branch.held_up:
            branch.hangs = True
            branch.queue.clear()
            branch.error = StoreUnavailable(
                f"The store took only {branch.taken} bytes in {branch.held_up:.0f} seconds, and held the others up."
            )
        branch.held_up, branch.taken = 0.0, 0

    def _wait_in_order(self, first: _Branch) -> None:
        until = monotonic() + self._order_seconds
        self._wait_until(lambda: first.is_settled or monotonic() >= until)

    def _wait_until(self, holds: Callable[[], bool], *, tells: bool = True) -> None:
        """Wait until ``holds``, which is called under the lock; stores that take too long fail meanwhile.

        ``tells``: whether ``while_waiting`` is called.
        """
        while not self._comes_to_hold(holds):
            if tells and self._while_waiting is not None:
                self._while_waiting()

    def _comes_to_hold(self, holds: Callable[[], bool]) -> bool:
        until = monotonic() + _TICK
        with self._changed:
            while not holds():
                self._fail_stalled()
                if (left := until - monotonic()) <= 0:
                    return False
                self._changed.wait(left)
            return True

    def _fail_stalled(self) -> None:
        before = monotonic() - self._stall_seconds
        for branch in self._branches.values():
            if branch.busy_since is not None and branch.busy_since < before and not branch.hangs:
                branch.hangs = True
                branch.queue.clear()
                if branch.error is None:
                    branch.error = StoreUnavailable(f"The store made no progress for {self._stall_seconds:g} seconds.")

    # Below: runs in the thread of a branch.

    def _work(self, branch: _Branch) -> None:
        writer: Writer | None = None
        placed: Placed | None = None
        failure: BaseException | None = None
        removed = False
        try:
            self._begin(branch)
            writer = branch.opens()
            self._end(branch)
            while (batch := self._next(branch)) is not None:
                writer.write(batch)
                del batch
                self._end(branch, written=True)
            placed = writer.commit()
        except BaseException as error:  # noqa: BLE001 - handled where the stream is written
            failure = error
        try:
            if placed is None:
                self._fail(branch, failure)
                removed = (writer is None or writer.abort()) and not _may_leave_data(failure)
        finally:
            with self._changed:
                branch.placed, branch.removed, branch.over, branch.busy_since = placed, removed, True, None
                self._changed.notify_all()

    def _fail(self, branch: _Branch, failure: BaseException | None) -> None:
        with self._changed:
            branch.queue.clear()
            if branch.error is None and not isinstance(failure, _Abandoned):
                branch.error = failure
            # the abort may hang as well
            branch.busy_since = monotonic()
            self._changed.notify_all()

    def _begin(self, branch: _Branch) -> None:
        with self._changed:
            branch.busy_since = monotonic()

    def _end(self, branch: _Branch, *, written: bool = False) -> None:
        with self._changed:
            branch.busy_since = None
            branch.is_open = True
            if written and branch.queue:
                branch.taken += len(branch.queue.popleft())
            self._changed.notify_all()

    def _next(self, branch: _Branch) -> bytes | None:
        """Wait for the next batch, which stays in the queue until it is written; None: commit.

        :raises _Abandoned: the data are not wanted any more.
        """
        with self._changed:
            while True:
                if branch.error is not None or branch.order is _Order.ABORT:
                    raise _Abandoned
                if branch.queue or branch.order is _Order.COMMIT:
                    branch.busy_since = monotonic()
                    return branch.queue[0] if branch.queue else None
                self._changed.wait()


def _may_leave_data(failure: BaseException | None) -> bool:
    """Whether data may still arrive in a store after an abort: they were on their way when it stopped working.

    A store that is busy was not asked to begin.
    """
    return isinstance(failure, StoreUnavailable) and not isinstance(failure, StoreBusy)
