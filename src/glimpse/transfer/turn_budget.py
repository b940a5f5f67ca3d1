"""How many bytes one turn of the event loop may move, so that downloads leave turns to other requests."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

#: Moving so many takes about half a millisecond, and a turn costs a few hundredths of that.
TURN_BYTES: Final = 1 << 20


class TurnBudget:
    """Bytes that all downloads of one event loop read and send in one turn, without waiting for anything.

    What is taken beyond ``count`` waits for later turns, in the order of the calls. A turn sees at most what was
    granted to those that waited and as much again, and one part more.
    """

    def __init__(self, count: int = TURN_BYTES) -> None:
        self._count = count
        self._left = count
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._refilling = False

    def take(self, count: int) -> asyncio.Future[None] | None:
        """None: ``count`` bytes may be moved at once, for the turn has some left. Else a future that says when."""
        if self._left > 0 and not self._waiting:
            self._left -= count
            if not self._refilling:
                self._refill_next_turn()
            return None
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, granted))
        return granted

    def _refill_next_turn(self) -> None:
        self._refilling = True
        asyncio.get_running_loop().call_soon(self._refill)

    def _refill(self) -> None:
        self._refilling = False
        self._left = self._count
        while self._waiting and self._left > 0:
            count, granted = self._waiting.popleft()
            if not granted.done():
                granted.set_result(None)
                self._left -= count
        if self._left < self._count:
            self._refill_next_turn()
