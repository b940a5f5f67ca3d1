"""Runs calls on the database in threads: a bounded number, and none that nobody is waiting for any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from glimpse.db.base import Database
from glimpse.errors import Invalid, LimitExceeded
from glimpse.registry.argument_checks import check_arguments
from glimpse.registry.errors import DeadlinePassed, NotProcessed
from glimpse.registry.methods import Method
from glimpse.registry.wire import MAX_BODY

T = TypeVar("T")


class CallPool:
    """``threads`` calls run at the same time, and ``queue`` more wait; all others are refused."""

    def __init__(self, database: Database, *, threads: int, queue: int) -> None:
        self._database = database
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self._most = threads + queue
        #: running and waiting calls; ``on_change`` is called when the number changes
        self.inside = 0
        self.on_change: Callable[[int], None] | None = None

    async def run(self, method: Method, body: bytes, deadline: float | None) -> bytes:
        """Run one call and return its result in msgpack. ``deadline`` is a time of ``time.monotonic``.

        A call that has started is finished even if its client disconnects: a write is never interrupted.

        :raises NotProcessed: there are too many calls; the call was not started.
        :raises DeadlinePassed: the call waited too long; it was not started.
        :raises GlimpseError: what the method raises, or its arguments are wrong.
        """
        return await self.do(lambda: self._work(method, body, deadline))

    async def do(self, work: Callable[[], T]) -> T:
        """Run something else in a thread, within the same limits.

        :raises NotProcessed: there are too many calls.
        """
        if self.inside >= self._most:
            raise NotProcessed("The registry has too many concurrent calls.")
        self._count(1)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._count(-1)

    def close(self) -> None:
        """Wait for running calls; the database stays open."""
        self._pool.shutdown(wait=True)

    def _count(self, difference: int) -> None:
        self.inside += difference
        if self.on_change is not None:
            self.on_change(self.inside)

    def _work(self, method: Method, body: bytes, deadline: float | None) -> bytes:
        if deadline is not None and time.monotonic() >= deadline:
            raise DeadlinePassed("The registry is overloaded and did not answer in time.")
        arguments = method.decode_arguments(body)
        check_arguments(method.name, arguments)
        operation: Callable[..., Any] = getattr(self._database, method.name)
        return _encoded(method, operation(**arguments))


def _encoded(method: Method, result: Any) -> bytes:
    try:
        answer = method.encode_result(result)
    except Invalid as error:
        # not the caller's fault; the call may have changed something
        raise RuntimeError(f"the result of {method.name} cannot be sent") from error
    if len(answer) > MAX_BODY:
        raise LimitExceeded(f"The response to {method.name} is larger than the limit of {MAX_BODY} bytes.")
    return answer
