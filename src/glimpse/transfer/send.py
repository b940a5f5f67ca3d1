"""The download loop: a blocking reader on one side, the event loop and a client of any speed on the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future, wait
from typing import Any, Final

from glimpse.errors import DataIncomplete, StoreUnavailable
from glimpse.stores.base import Reader
from glimpse.transfer.fair_threads import Submits
from glimpse.transfer.part_sizes import PartMemory, PartSizes
from glimpse.transfer.pump import Receive

#: The ``send`` callable of ASGI.
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Seconds after which a part goes as it is: a source that drips is passed on as it drips, and holds no thread for long.
_FILL_SECONDS: Final = 1.0
#: For the sizes of parts, when it is not known how much is to come.
_ANY_LENGTH: Final = 1 << 62


async def send_reader(
    reader: Reader,
    send: Send,
    receive: Receive,
    threads: Submits,
    *,
    start: MutableMapping[str, Any],
    memory: PartMemory,
) -> int:
    """Send ``start`` and all of ``reader`` as the body of the response; return the number of bytes of the body sent.

    Reading runs in ``threads``, one part ahead of sending, and stops when the client does: fewer bytes than
    ``reader.length`` are returned when it went away. The reader is closed in every case. Parts of fast clients are
    large as far as ``memory`` goes; a client that takes nothing is cut off by the kernel, see ``write_timeout``.

    :raises DataIncomplete: reading failed, or ended early. The caller lets this pass up to the server, which cuts
        the connection: that is how the client learns that the data are not complete.
    """
    reading = _Reading(reader, threads)
    sizes = PartSizes(_ANY_LENGTH if reader.length is None else reader.length, memory)
    gone: asyncio.Future[None] | None = None
    sent = 0
    try:
        await send(start)
        gone = asyncio.ensure_future(_disconnected(receive))
        while True:
            try:
                part = await reading.next_part(sizes)
            except StoreUnavailable as error:
                raise DataIncomplete(str(error), sent) from error
            if gone.done():
                gone.result()
                return sent
            # an unknown length is known once the end was read
            more = reader.length is None or sent + len(part) < reader.length
            if more and not part:
                raise DataIncomplete(f"The data ended after {sent} of {reader.length} bytes.", sent)
            sent += len(part)
            sizes.sent(len(part))
            if more:
                reading.start(sizes)
            await send({"type": "http.response.body", "body": part, "more_body": more})
            if not more:
                return sent
    finally:
        if gone is not None:
            gone.cancel()
        sizes.close()
        reading.close()


async def _disconnected(receive: Receive) -> None:
    """Return when the client is gone: servers tell by this message alone, ``send`` does not fail."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _Reading:
    """The parts of a reader, read by other threads into one buffer, one part at a time."""

    def __init__(self, reader: Reader, threads: Submits) -> None:
        self._reader = reader
        self._threads = threads
        self._buffer = memoryview(b"")
        self._running: Future[bytes] | None = None

    def start(self, sizes: PartSizes) -> Future[bytes]:
        """Read the next part in the background."""
        self._running = self._threads.submit(self._read, sizes.next_size())
        return self._running

    async def next_part(self, sizes: PartSizes) -> bytes:
        """The part being read; empty at the end."""
        part = await asyncio.wrap_future(self._running or self.start(sizes))
        self._running = None
        return part

    def close(self) -> None:
        """Close the reader, in the background, when no thread uses it any more."""
        running = self._running
        idle = running is None or running.cancel()
        try:
            if idle or running is None:
                self._threads.submit(self._reader.close)
            else:
                self._threads.submit(self._close_after, running)
        except RuntimeError:
            # the threads were shut down, which waits for what runs in them
            self._reader.close()

    def _read(self, size: int) -> bytes:
        if self._reader.length is not None:
            size = max(1, min(size, self._reader.length))
        if len(self._buffer) != size:
            self._buffer = memoryview(bytearray(size))
        filled = 0
        until = time.monotonic() + _FILL_SECONDS
        while filled < size:
            count = self._reader.readinto(self._buffer[filled:])
            if count == 0:
                break
            filled += count
            if time.monotonic() >= until:
                break
        return bytes(self._buffer[:filled])

    def _close_after(self, running: Future[bytes]) -> None:
        wait([running])
        self._reader.close()
