"""Reading the data of an image from several copies: when one fails, reading goes on in the next one."""

from __future__ import annotations

from collections.abc import Callable

from glimpse.errors import StoreUnavailable
from glimpse.stores.base import Reader, ReadsNow

#: Opens the rest of the data at the next copy: takes the bytes delivered so far, and why reading failed.
OpenNext = Callable[[int, StoreUnavailable], Reader]


class FailoverReader:
    """Implements ``stores.base.Reader`` over several copies; offers ``read_now`` if the first reader does."""

    def __init__(self, first: Reader, open_next: OpenNext) -> None:
        """``open_next`` raises the failure passed to it if no copy is left."""
        self._reader = first
        self._open_next = open_next
        self._delivered = 0
        self._failure: StoreUnavailable | None = None
        #: bytes of the range; None while unknown
        self.length = first.length
        if isinstance(first, ReadsNow):
            self.read_now = self._read_now

    def read(self, size: int) -> bytes:
        while True:
            if self._failure is not None:
                # closed before the next copy is opened, so that both never count as open streams
                self._reader.close()
                self._reader = self._open_next(self._delivered, self._failure)
                self._failure = None
            try:
                return self._counted(self._reader.read(size))
            except StoreUnavailable as error:
                self._failure = error

    def close(self) -> None:
        self._reader.close()

    def _read_now(self, size: int) -> bytes | None:
        """Like :meth:`glimpse.stores.base.ReadsNow.read_now`; another copy is opened by :meth:`read` only."""
        reader = self._reader
        if self._failure is not None or not isinstance(reader, ReadsNow):
            return None
        try:
            part = reader.read_now(size)
        except StoreUnavailable as error:
            self._failure = error
            return None
        return None if part is None else self._counted(part)

    def _counted(self, part: bytes) -> bytes:
        self._delivered += len(part)
        if not part and self.length is None:
            self.length = self._delivered
        return part
