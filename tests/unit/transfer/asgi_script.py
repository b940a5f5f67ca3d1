"""A scripted client of an ASGI server: body parts, pauses, the end, or a broken connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from glimpse.transfer.pump import BATCH_BYTES, BodyPump, Pace
from glimpse.transfer.source import Steps

T = TypeVar("T")
R = TypeVar("R")

#: The sender goes away, without having ended the body.
GONE: MutableMapping[str, Any] = {"type": "http.disconnect"}
#: The body ends, in a message of its own as granian does it.
END: MutableMapping[str, Any] = {"type": "http.request", "body": b"", "more_body": False}

#: Bytes are a part, a number is a pause in seconds, a mapping a message as it is, an exception is raised.
Step = bytes | float | MutableMapping[str, Any] | Exception


def last(part: bytes) -> MutableMapping[str, Any]:
    """The end of the body together with its last bytes, as uvicorn may send it."""
    return {"type": "http.request", "body": part, "more_body": False}


class Script:
    """The ``receive`` of one request. After its last step it blocks, or tells again that the sender is gone."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps: Iterator[Step] = iter(steps)
        self._gone = False
        #: bytes handed out, calls made, and reads that were cancelled
        self.delivered = 0
        self.reads = 0
        self.cancelled = 0

    async def __call__(self) -> MutableMapping[str, Any]:
        self.reads += 1
        if self._gone:
            return GONE
        for step in self._steps:
            if isinstance(step, bytes):
                self.delivered += len(step)
                return {"type": "http.request", "body": step, "more_body": True}
            if isinstance(step, Exception):
                raise step
            if not isinstance(step, float):
                self._gone = step is GONE
                self.delivered += len(step.get("body", b""))
                return step
            await self._pause(step)
        await self._pause(3600)
        raise AssertionError("a test waits for an hour")

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def run_with_pump(
    script: Script,
    work: Callable[[BodyPump[T]], Awaitable[R]],
    *,
    silence: float = 30.0,
    least_rate: float = 0,
    window: float = 60.0,
    batch_bytes: int = BATCH_BYTES,
) -> R:
    """Run ``work`` on an event loop with a pump on ``script``; nothing may be left on the loop afterwards."""

    async def main() -> R:
        with ThreadPoolExecutor(2) as threads:
            pace = Pace(silence=silence, least_rate=least_rate, window=window)
            pump: BodyPump[T] = BodyPump(script, threads, pace, batch_bytes=batch_bytes)
            try:
                return await work(pump)
            finally:
                pump.close()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                left = asyncio.all_tasks() - {asyncio.current_task()}
                assert not left, left

    return asyncio.run(main())


def run_steps(script: Script, steps: Steps[T], **options: Any) -> T:
    """What ``steps`` make of the body; ``options`` are those of :func:`run_with_pump`."""
    return run_with_pump(script, lambda pump: pump.feed(steps), **options)


def all_batches() -> Steps[list[bytes]]:
    """Take the body to its end."""
    batches: list[bytes] = []
    while (batch := (yield)) is not None:
        batches.append(batch)
    return batches
