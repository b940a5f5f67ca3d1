"""Reading a range of a volume, with several reads in progress."""

from __future__ import annotations

import logging
from collections import deque

from glimpse.errors import GlimpseError, StoreUnavailable
from glimpse.stores.cinder import wire
from glimpse.stores.cinder.attachment import Attachment

LOG = logging.getLogger(__name__)

#: Bytes of the first read of a stream; each further one is twice as long, up to a slot.
_FIRST = 256 << 10


class CinderReader:
    """Implements ``stores.base.Reader`` and ``ReadsNow``. Reads ahead into the slots of the stream."""

    def __init__(self, attachment: Attachment, offset: int, length: int) -> None:
        self.length = length
        self._attachment: Attachment | None = attachment
        self._link = attachment.link
        self._next = offset
        self._end = offset + length
        self._step = min(_FIRST, wire.SLOT_SIZE)
        self._free = list(range(wire.SLOTS))
        #: reads in progress in the order of their bytes, as slot and length; those that are done
        self._ordered: deque[tuple[int, int]] = deque()
        self._done: set[int] = set()
        self._taken = 0

    def read(self, size: int) -> bytes:
        if not self._ordered:
            self._read_ahead()
            if not self._ordered:
                return b""
        while not self._has_arrived():
            self._note(self._link.answer())
        return self._take(size)

    def read_now(self, size: int) -> bytes | None:
        """See ``stores.base.ReadsNow``."""
        if not self._ordered:
            self._read_ahead()
            if not self._ordered:
                return b""
        while not self._has_arrived():
            answer = self._link.answer_now()
            if answer is None:
                return None
            self._note(answer)
        return self._take(size)

    def close(self) -> None:
        attachment, self._attachment = self._attachment, None
        if attachment is None:
            return
        try:
            while len(self._ordered) > len(self._done):
                self._note(self._link.answer())
            attachment.close()
        except GlimpseError as error:
            attachment.link.close()
            LOG.warning("A volume may still be attached after a read: %s", error)

    def _has_arrived(self) -> bool:
        return self._ordered[0][0] in self._done

    def _note(self, answer: wire.Answer) -> None:
        if not isinstance(answer, wire.Done):
            raise StoreUnavailable("The answer of the process that attaches volumes cannot be read.")
        self._done.add(answer.slot)

    def _take(self, size: int) -> bytes:
        slot, length = self._ordered[0]
        start = slot * wire.SLOT_SIZE + self._taken
        part = bytes(self._link.area[start : start + min(size, length - self._taken)])
        self._taken += len(part)
        if self._taken == length:
            self._ordered.popleft()
            self._done.remove(slot)
            self._free.append(slot)
            self._taken = 0
            self._read_ahead()
        return part

    def _read_ahead(self) -> None:
        while self._free and self._next < self._end:
            slot = self._free.pop()
            length = min(self._step, self._end - self._next)
            self._link.send(wire.Read(slot, self._next, length))
            self._ordered.append((slot, length))
            self._next += length
            self._step = min(2 * self._step, wire.SLOT_SIZE)
