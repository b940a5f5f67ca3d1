"""The download loop, from a blocking reader to a client of any speed on the event loop.

The event loop itself reads data that are available without waiting; threads read all others (docs/adr/0002).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import MutableMapping
from concurrent.futures import Future, wait
from typing import Any, Final

from glimpse.asgi import Receive, Send
from glimpse.errors import DataIncomplete, StoreUnavailable
from glimpse.stores.base import Reader, ReadsNow
from glimpse.transfer.fair_threads import Submits
from glimpse.transfer.part_sizes import PartMemory, PartSizes
from glimpse.transfer.turn_budget import TurnBudget

#: Seconds after which an incomplete part is sent, so that a slow source does not hold a thread for long.
_FILL_SECONDS: Final = 1.0
#: The length used for part sizes when the real one is unknown.
_ANY_LENGTH: Final = 1 << 62
#: After each miss, threads read twice as many parts (up to 16) before the event loop tries again.
_MOST_MISSES: Final = 4


async def send_reader(
    reader: Reader,
    send: Send,
    receive: Receive,
    threads: Submits,
    *,
    start: MutableMapping[str, Any],
    memory: PartMemory,
    turns: TurnBudget,
) -> int:
    """Send ``start`` and all of ``reader`` as the body of the response; return the number of bytes of the body sent.

    The event loop reads data that are available without waiting (:class:`~glimpse.stores.base.ReadsNow`), as many per
    turn as ``turns`` allow. All others are read in ``threads``, one part ahead of sending. Reading stops when the
    client disconnects; the result is then less than ``reader.length``. The reader is always closed. Fast clients get
    large parts, within the limits of ``memory``. The kernel disconnects a client that takes nothing, see
    ``write_timeout``.

    :raises DataIncomplete: reading failed, or ended early. The caller lets it propagate to the server, which closes
        the connection, so that the client notices that the data are incomplete.
    """
    sizes = PartSizes(_ANY_LENGTH if reader.length is None else reader.length, memory)
    reading = _Reading(reader, threads, turns, sizes)
    gone: asyncio.Future[None] | None = None
    sent = 0
    try:
        await send(start)
        gone = asyncio.ensure_future(_disconnected(receive))
        while True:
            try:
                part = await reading.next_part()
            except StoreUnavailable as error:
                raise DataIncomplete(str(error), sent) from error
            if gone.done():
                gone.result()
                return sent
            # an unknown length becomes known when the end is read
            more = reader.length is None or sent + len(part) < reader.length
            if more and not part:
                raise DataIncomplete(f"The data ended after {sent} of {reader.length} bytes.", sent)
            sent += len(part)
            sizes.sent(len(part))
            if more and reading.in_threads:
                reading.read_ahead()
            try:
                await send({"type": "http.response.body", "body": part, "more_body": more})
            except OSError:
                # what ASGI servers raise when the client has disconnected
                return sent - len(part)
            if not more:
                return sent
    finally:
        if gone is not None:
            gone.cancel()
        sizes.close()
        reading.close()


async def _disconnected(receive: Receive) -> None:
    """Return when the client has disconnected: servers report it only by this message, ``send`` does not fail."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _Reading:
    """Reads the parts of a reader: directly while they are available without waiting, else one by one in threads."""

    def __init__(self, reader: Reader, threads: Submits, turns: TurnBudget, sizes: PartSizes) -> None:
        self._reader = reader
        self._threads = threads
        self._turns = turns
        self._sizes = sizes
        self._at_hand = reader if isinstance(reader, ReadsNow) else None
        self._misses = 0
        #: how many of the next parts threads read
        self.in_threads = math.inf if self._at_hand is None else 0
        self._running: Future[bytes] | None = None

    def read_ahead(self) -> Future[bytes]:
        """Have a thread read the next part."""
        self._running = self._threads.submit(self._read, self._sizes.next_size())
        return self._running

    async def next_part(self) -> bytes:
        """Return the part being read, or the next one; empty at the end."""
        if self._at_hand is not None and not self.in_threads:
            size = self._sizes.next_size()
            if (granted := self._turns.take(size)) is not None:
                await granted
            part = self._at_hand.read_now(size)
            if part is not None:
                self._misses = 0
                return part
            self.in_threads = 1 << self._misses
            self._misses = min(self._misses + 1, _MOST_MISSES)
        running = self._running or self.read_ahead()
        part = await asyncio.wrap_future(running)
        self._running = None
        self.in_threads = max(0, self.in_threads - 1)
        return part

    def close(self) -> None:
        """Close the reader in the background, once no thread uses it."""
        running = self._running
        idle = running is None or running.cancel()
        try:
            if idle or running is None:
                self._threads.submit(self._reader.close)
            else:
                self._threads.submit(self._close_after, running)
        except RuntimeError:
            # the threads have been shut down, which waits for running work
            self._reader.close()

    def _read(self, size: int) -> bytes:
        read = self._reader.read
        until = time.monotonic() + _FILL_SECONDS
        first = read(size)
        filled = len(first)
        if filled == size or not filled:
            return first
        pieces = [first]
        while filled < size and time.monotonic() < until and (piece := read(size - filled)):
            pieces.append(piece)
            filled += len(piece)
        return first if len(pieces) == 1 else b"".join(pieces)

    def _close_after(self, running: Future[bytes]) -> None:
        wait([running])
        self._reader.close()
