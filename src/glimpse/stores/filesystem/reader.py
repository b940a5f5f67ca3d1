"""Reading a range of one image file."""

from __future__ import annotations

import contextlib
import os

from glimpse.errors import StoreUnavailable
from glimpse.stores.filesystem.os_errors import read_error

#: Not through a symbolic link, and without waiting should somebody have put a named pipe there.
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FilesystemReader:
    """Implements ``stores.base.Reader``. Owns the descriptor ``fd``, so a deletion of the file does not end it."""

    __slots__ = ("_end", "_fd", "_position", "_store_id", "length")

    def __init__(self, store_id: str, fd: int, offset: int, length: int) -> None:
        self._store_id = store_id
        self._fd = fd
        self._position = offset
        self._end = offset + length
        self.length = length

    def readinto(self, buffer: memoryview) -> int:
        left = self._end - self._position
        if not left:
            return 0
        try:
            count = os.preadv(self._fd, (buffer[:left],), self._position)
        except OSError as error:
            raise read_error(self._store_id, error) from error
        if not count:
            raise StoreUnavailable(f"The data in store {self._store_id} end {left} bytes too early.")
        self._position += count
        return count

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            # nothing was written through it, so an error means nothing to anybody
            with contextlib.suppress(OSError):
                os.close(fd)
