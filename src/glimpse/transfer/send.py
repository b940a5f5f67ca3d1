"""The download loop: a blocking reader on one side, the event loop and a client of any speed on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor, Future, wait
from typing import Any, Final

from glimpse.errors import DataIncomplete, StoreUnavailable
from glimpse.stores.base import Reader
from glimpse.transfer.pump import Receive

#: The ``send`` callable of ASGI.
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: One part is read ahead, and a server may hold some eight more for a slow client.
PART_BYTES: Final = 512 << 10


async def send_reader(
    reader: Reader, send: Send, receive: Receive, executor: Executor, *, part_bytes: int = PART_BYTES
) -> int:
    """Send all of ``reader`` as the body of the response whose start was sent; return the number of bytes sent.

    Reading runs in ``executor``, one part ahead of sending, and stops when the client does: fewer bytes than
    ``reader.length`` are returned when it went away. The reader is closed in every case.

    :raises DataIncomplete: reading failed, or ended early. The caller lets this pass up to the server, which cuts
        the connection: that is how the client learns that the data are not complete.
    """
    gone = asyncio.ensure_future(_disconnected(receive))
    reading = _Reading(reader, executor, part_bytes)
    sent = 0
    try:
        while True:
            try:
                part = await reading.next_part()
            except StoreUnavailable as error:
                raise DataIncomplete(str(error), sent) from error
            if gone.done():
                gone.result()
                return sent
            more = sent + len(part) < reader.length
            if more and not part:
                raise DataIncomplete(f"The data ended after {sent} of {reader.length} bytes.", sent)
            if more:
                reading.start()
            await send({"type": "http.response.body", "body": part, "more_body": more})
            sent += len(part)
            if not more:
                return sent
    finally:
        gone.cancel()
        reading.close()


async def _disconnected(receive: Receive) -> None:
    """Return when the client is gone: servers tell by this message alone, ``send`` does not fail."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _Reading:
    """The parts of a reader, read by the threads of an executor into one buffer, one part at a time."""

    def __init__(self, reader: Reader, executor: Executor, part_bytes: int) -> None:
        self._reader = reader
        self._executor = executor
        self._buffer = memoryview(bytearray(max(1, min(part_bytes, reader.length))))
        self._running: Future[bytes] | None = None

    def start(self) -> Future[bytes]:
        """Read the next part in the background."""
        self._running = self._executor.submit(self._read)
        return self._running

    async def next_part(self) -> bytes:
        """The part being read; empty at the end."""
        part = await asyncio.wrap_future(self._running or self.start())
        self._running = None
        return part

    def close(self) -> None:
        """Close the reader, in the background, when no thread uses it any more."""
        running = self._running
        idle = running is None or running.cancel()
        try:
            if idle or running is None:
                self._executor.submit(self._reader.close)
            else:
                self._executor.submit(self._close_after, running)
        except RuntimeError:
            # the executor was shut down, which waits for what runs in it
            self._reader.close()

    def _read(self) -> bytes:
        filled = 0
        while filled < len(self._buffer):
            count = self._reader.readinto(self._buffer[filled:])
            if count == 0:
                break
            filled += count
        return bytes(self._buffer[:filled])

    def _close_after(self, running: Future[bytes]) -> None:
        wait([running])
        self._reader.close()
