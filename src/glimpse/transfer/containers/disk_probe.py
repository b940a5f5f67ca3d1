"""Strict inspection of a stream that may be a disk."""

from __future__ import annotations

import re
from typing import Final

from glimpse.transfer.inspect import HEAD_BYTES, READ_STRICTLY
from glimpse.transfer.strict.examiner import Examiner, check_last_footer

_FOOTER_BYTES: Final = 1024
_WORDS: Final = re.compile(rb"createtype|parentfilenamehint", re.IGNORECASE)


class DiskProbe:
    """Refuses a stream that refers to another file, or makes a program allocate or loop excessively.

    A stream that is not a disk costs one comparison per piece after its first MiB.
    """

    def __init__(self) -> None:
        self._head: bytearray | None = bytearray()
        self._tail = b""
        self._examiner: Examiner | None = None

    @property
    def wants_more(self) -> bool:
        """Whether further data matter, apart from the last bytes of the stream."""
        return self._head is not None or self._examiner is not None

    def feed(self, data: bytes) -> None:
        """Feed the next bytes. Never raises."""
        self._tail = data[-_FOOTER_BYTES:] if len(data) >= _FOOTER_BYTES else (self._tail + data)[-_FOOTER_BYTES:]
        if self._examiner is not None:
            self._examiner.feed(data)
        elif self._head is not None:
            self._head += data
            if len(self._head) >= HEAD_BYTES:
                self._read_head()

    def end(self) -> None:
        """End the stream.

        :raises UnsupportedContent: it is an unsafe disk.
        """
        self._read_head()
        if self._examiner is not None:
            self._examiner.finish()
        elif b"conectix" in self._tail:
            check_last_footer(self._tail)

    def _read_head(self) -> None:
        if self._head is None:
            return
        head, self._head = bytes(self._head), None
        if READ_STRICTLY.match(head) or _WORDS.search(head):
            self._examiner = Examiner(head)
