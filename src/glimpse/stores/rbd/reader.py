"""Reading a range of one image, ahead of its consumer.

What is read of an image that is being deleted are zeros, without any error. So before data are passed on, the record of
the snapshot in the image's header is looked up: it is removed before the first byte of the data is.
"""

from __future__ import annotations

import errno
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Condition
from typing import Any, Final

import msgspec

from glimpse.errors import GlimpseError, StoreUnavailable
from glimpse.stores.rbd.ceph_errors import read_error
from glimpse.stores.rbd.connection import Session

LOG = logging.getLogger(__name__)

#: Bytes that are read ahead of a consumer: at first, and at most for one that is faster than the cluster.
_FIRST_WINDOW: Final = 512 << 10
_LARGEST_WINDOW: Final = 8 << 20
#: Bytes of one read, a quarter of a window: larger reads take less processor time, and more memory (docs/adr/0018).
_SMALLEST_PIECE: Final = 256 << 10
_LARGEST_PIECE: Final = 2 << 20
#: A consumer that leaves data unread for so many seconds gets a small window again.
_SLOW: Final = 0.5


class Source(msgspec.Struct, frozen=True):
    """An open image of ``size`` bytes; ``still_there`` tells whether data that were read before are those of it."""

    image: Any
    size: int
    still_there: Callable[[], bool]


def opened_source(session: Session, pool: Any, name: str, snapshot: str | None) -> Source:
    """Open an image, or its snapshot, to be read.

    Without a snapshot, or in the old format, nothing can be looked up. Such an image is opened with a watch, so a
    deletion is refused meanwhile.

    :raises Exception: an error of the libraries.
    """
    image = session.image(pool, name, snapshot)
    if snapshot is None or image.old_format():
        image.close()
        image = session.image(pool, name, snapshot, read_only=False)
        return Source(image, image.size(), lambda: True)
    header = f"rbd_header.{image.id()}"
    record = f"snapshot_{image.snap_get_id(snapshot):016x}"

    def still_there() -> bool:
        with session.rados.ReadOpCtx() as operation, suppress(session.rados.ObjectNotFound):
            found, _ = pool.get_omap_vals_by_keys(operation, (record,))
            pool.operate_read_op(operation, header)
            return bool(list(found))
        return False

    return Source(image, image.size(), still_there)


class _Piece:
    """One read: its data, or the number of errno, once it has ended."""

    __slots__ = ("arrived", "data", "failure", "length", "verified")

    def __init__(self, length: int) -> None:
        self.length = length
        self.data: bytes = b""
        self.failure = 0
        self.arrived: float | None = None
        self.verified = False


class RbdReader:
    """Implements ``stores.base.Reader`` and ``ReadsNow``. Owns its session and the open image."""

    def __init__(self, session: Session, source: Source, offset: int, length: int) -> None:
        self.length = length
        self._session = session
        self._image: Any = source.image
        self._closed = False
        self._still_there = source.still_there
        self._deadline = 2 * session.connection.deadline
        self._arrival = Condition()
        self._pieces: deque[_Piece] = deque()
        self._ahead = 0
        self._window = _FIRST_WINDOW
        #: where the next read begins, and the end of the range
        self._next = offset
        self._end = offset + length
        #: verified data, and how much of them was passed on
        self._data: bytes = b""
        self._passed = 0
        self._left = length

    def read(self, size: int) -> bytes:
        if not self._left:
            return b""
        if self._passed == len(self._data):
            self._data, self._passed = self._next_data(), 0
        return self._take(size)

    def read_now(self, size: int) -> bytes | None:
        if not self._left:
            return b""
        if self._passed == len(self._data):
            if not (self._pieces and self._pieces[0].verified):
                return None
            self._data, self._passed = self._pop(), 0
            self._fill()
        return self._take(size)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._left = 0
        try:
            self._session.close_image(self._image)
        except GlimpseError as error:
            LOG.warning("Store %s: an image that was read was closed with an error: %s", self._session.store_id, error)
        self._session.close()

    def _take(self, size: int) -> bytes:
        # a slice of everything is not a copy
        part = self._data[self._passed : self._passed + size]
        self._passed += len(part)
        self._left -= len(part)
        return part

    def _next_data(self) -> bytes:
        """Wait for the next piece, and look up whether it is part of the image."""
        self._fill()
        piece = self._pieces[0]
        if not piece.verified:
            self._wait(piece)
            self._verify()
        data = self._pop()
        self._fill()
        return data

    def _fill(self) -> None:
        """Start as many reads as the window allows."""
        with self._session.translated(read_error):
            while self._next < self._end and (self._ahead < self._window or not self._pieces):
                size = min(max(self._window // 4, _SMALLEST_PIECE), _LARGEST_PIECE, self._end - self._next)
                piece = _Piece(size)
                self._image.aio_read(self._next, size, self._receiver(piece))
                self._pieces.append(piece)
                self._next += size
                self._ahead += size

    def _receiver(self, piece: _Piece) -> Callable[[Any, bytes | None], None]:
        def received(completion: Any, data: bytes | None) -> None:
            result = completion.get_return_value()
            with self._arrival:
                if result < 0 or data is None:
                    piece.failure = -result or errno.EIO
                else:
                    piece.data = data
                piece.arrived = time.monotonic()
                self._arrival.notify_all()

        return received

    def _wait(self, piece: _Piece) -> None:
        with self._arrival:
            waited = piece.arrived is None
            while piece.arrived is None:
                if not self._arrival.wait(self._deadline):
                    raise self._session.failed(read_error, errno.ETIMEDOUT)
            idle = time.monotonic() - piece.arrived
        if waited:
            self._window = min(2 * self._window, _LARGEST_WINDOW)
        elif idle > _SLOW:
            self._window = _FIRST_WINDOW

    def _verify(self) -> None:
        """Check all pieces that have arrived."""
        with self._arrival:
            arrived = [piece for piece in self._pieces if piece.arrived is not None]
        with self._session.translated(read_error):
            there = self._still_there()
        if not there:
            raise StoreUnavailable(f"The data in store {self._session.store_id} were deleted while they were read.")
        for piece in arrived:
            if piece.failure:
                continue
            if len(piece.data) != piece.length:
                piece.failure = errno.EIO
            piece.verified = not piece.failure

    def _pop(self) -> bytes:
        piece = self._pieces[0]
        if piece.failure:
            raise self._session.failed(read_error, piece.failure)
        self._pieces.popleft()
        self._ahead -= piece.length
        return piece.data
