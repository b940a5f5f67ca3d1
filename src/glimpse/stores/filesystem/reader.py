"""Reading a range of one image file."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from typing import Final

from glimpse.errors import StoreUnavailable
from glimpse.stores.filesystem.os_errors import read_error

#: Does not follow a symbolic link, and does not block if there is a named pipe.
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

#: Maximum bytes of one read without waiting.
NOW_BYTES: Final = 256 << 10

#: The file system cannot tell what is cached: network file systems, FUSE, older kernels.
_CANNOT_TELL = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class _Scratch(threading.local):
    """A buffer per thread, which stays in its core's cache."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(NOW_BYTES))


_SCRATCH = _Scratch()


class FilesystemReader:
    """Implements ``stores.base.Reader`` and ``ReadsNow``.

    Owns the descriptor ``fd``, so reading continues after a deletion of the file.
    """

    __slots__ = ("_end", "_fd", "_position", "_store_id", "_tells", "length")

    def __init__(self, store_id: str, fd: int, offset: int, length: int) -> None:
        self._store_id = store_id
        self._fd = fd
        self._position = offset
        self._end = offset + length
        self._tells = True
        self.length = length

    def read(self, size: int) -> bytes:
        left = self._end - self._position
        if not left:
            return b""
        try:
            part = os.pread(self._fd, min(size, left), self._position)
        except OSError as error:
            raise read_error(self._store_id, error) from error
        if not part:
            raise self._too_early()
        self._position += len(part)
        return part

    def read_now(self, size: int) -> bytes | None:
        """Read from the page cache. The copy from the scratch buffer costs less than finding out what is cached."""
        if not self._tells:
            return None
        left = self._end - self._position
        if not left:
            return b""
        buffer = _SCRATCH.buffer[: min(size, left)]
        try:
            count = os.preadv(self._fd, (buffer,), self._position, os.RWF_NOWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _CANNOT_TELL:
                self._tells = False
                return None
            raise read_error(self._store_id, error) from error
        if not count:
            raise self._too_early()
        self._position += count
        return bytes(buffer[:count])

    def _too_early(self) -> StoreUnavailable:
        left = self._end - self._position
        return StoreUnavailable(f"The data in store {self._store_id} end {left} bytes too early.")

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            # nothing was written, so an error is harmless
            with contextlib.suppress(OSError):
                os.close(fd)
