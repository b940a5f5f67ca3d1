"""The size of the parts of a download: small at first, larger for clients that receive them fast.

A server buffers a fixed number of parts for a client that does not read, so the part size limits the memory of a slow
client. A fast client needs large parts, or each MiB costs too much processor time.
"""

from __future__ import annotations

import time
from typing import Final

#: Every download begins with parts of this size, which is also the minimum.
SMALL_PART: Final = 16 << 10
#: Larger parts gain nothing. Parts of more than 512 KiB are for responses that go past the server: with its copy they
#: no longer fit into a core's cache (docs/adr/0002, 0024).
LARGE_PART: Final = 2 << 20

#: Parts grow after this many were sent at under FAST seconds each on average; above SLOW they become small again.
_TRIAL: Final = 8
_FAST: Final = 0.02
_SLOW: Final = 0.1
#: A part is at most this fraction of the bytes sent before: kernel buffers take the first MiB of any client.
_SHARE_OF_SENT: Final = 32
#: And of the remaining bytes, so that little is buffered in the server when the last part has been passed on.
_SHARE_OF_REST: Final = 8
#: Maximum parts in buffers: after this many smaller parts were sent, no larger one is left in them.
_PARTS_ON_THE_WAY: Final = 24


def bytes_held(part: int) -> int:
    """Return the maximum bytes in memory of one download with parts of ``part`` bytes.

    Two parts are ours (read ahead, being sent), four are queued in granian, and its connection buffers up to 16 parts
    or 1 MiB, whichever comes first (measured with granian 2.8.7).
    """
    return 2 * part + 4 * part + min(16 * part, (1 << 20) + part)


class PartMemory:
    """The memory of an event loop for parts larger than the small ones, shared by the downloads that use it."""

    def __init__(self, total: int) -> None:
        """``total`` in bytes; 0: all parts are small."""
        self._total = total
        self._holders = 0
        self.free = total

    @property
    def share(self) -> int:
        """Bytes that each download using this memory may have now."""
        return self._total // max(1, self._holders)

    def grow(self, held: int, wanted: int) -> bool:
        """Increase the reservation of a download from ``held`` to ``wanted`` bytes.

        Return False if not enough bytes are free, or ``wanted`` is more than its share.
        """
        holders = self._holders if held else self._holders + 1
        if wanted - held > self.free or wanted * holders > self._total:
            return False
        self._holders = holders
        self.free -= wanted - held
        return True

    def shrink(self, held: int, kept: int) -> None:
        """Release all but ``kept`` of ``held`` bytes."""
        if held and not kept:
            self._holders -= 1
        self.free += held - kept


class PartSizes:
    """Chooses the size of each part of one download of ``length`` bytes."""

    def __init__(self, length: int, memory: PartMemory) -> None:
        self._rest = length
        self._sent = 0
        self._memory = memory
        self._part = SMALL_PART
        self._reserved = 0
        self._in_trial = 0
        self._since = time.monotonic()
        self._smaller = 0

    def next_size(self) -> int:
        """Return how many bytes to read next."""
        ending = self._rest // _SHARE_OF_REST // SMALL_PART * SMALL_PART
        return max(SMALL_PART, min(self._part, ending))

    def sent(self, count: int) -> None:
        """Record that the server accepted a part of ``count`` bytes."""
        self._sent += count
        self._rest -= count
        self._in_trial += 1
        if self._smaller:
            self._smaller -= 1
            if not self._smaller:
                self._keep(bytes_held(self._part) - bytes_held(SMALL_PART))
        if self._in_trial >= _TRIAL:
            self._judge()

    def close(self) -> None:
        """Release the memory."""
        self._keep(0)

    def _judge(self) -> None:
        now = time.monotonic()
        seconds = (now - self._since) / self._in_trial
        self._since = now
        self._in_trial = 0
        if seconds > _SLOW and self._part > SMALL_PART:
            self._part = SMALL_PART
            self._smaller = _PARTS_ON_THE_WAY
        elif self._reserved > self._memory.share:
            if not self._smaller:
                self._part //= 2
                self._smaller = _PARTS_ON_THE_WAY
        elif seconds < _FAST and self._part < LARGE_PART and self._sent >= 2 * self._part * _SHARE_OF_SENT:
            wanted = bytes_held(2 * self._part) - bytes_held(SMALL_PART)
            if wanted <= self._reserved or self._memory.grow(self._reserved, wanted):
                self._reserved = max(self._reserved, wanted)
                self._part *= 2
                self._smaller = 0

    def _keep(self, reserved: int) -> None:
        if reserved < self._reserved:
            self._memory.shrink(self._reserved, reserved)
            self._reserved = reserved
