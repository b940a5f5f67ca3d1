"""How many bytes one turn of the event loop may move, so that downloads leave turns to other requests."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

#: Moving so many takes about half a millisecond, and a turn costs a few hundredths of that.
TURN_BYTES: Final = 1 << 20


class TurnBudget:
    """Bytes that all downloads of one event loop read and send before they let it turn.

    A call that comes when ``count`` bytes were taken waits for the next turn, in the order of the calls. So one turn
    moves at most twice ``count``, for those that waited and for others, and one part more.
    """

    def __init__(self, count: int = TURN_BYTES) -> None:
        self._count = count
        self._left = count
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take(self, count: int) -> asyncio.Future[None] | None:
        """None: ``count`` bytes may be moved at once. Else a future that says when."""
        if self._left > 0 and not self._waiting:
            self._left -= count
            return None
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._grant, loop)
        granted: asyncio.Future[None] = loop.create_future()
        self._waiting.append((count, granted))
        return granted

    def _grant(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._count
        while self._waiting and self._left > 0:
            count, granted = self._waiting.popleft()
            if not granted.done():
                granted.set_result(None)
                self._left -= count
        if self._waiting:
            loop.call_soon(self._grant, loop)
