"""Reading a range of one image file."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from typing import Any, Final

from glimpse.errors import StoreUnavailable
from glimpse.stores.filesystem.os_errors import read_error

#: Does not follow a symbolic link, and does not block if there is a named pipe.
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

#: Maximum bytes of one read without waiting.
NOW_BYTES: Final = 512 << 10

#: The file system cannot tell what is cached: network file systems, FUSE, older kernels.
_CANNOT_TELL = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


_PYTHON: Final = ctypes.PyDLL(None)  # functions of our own, whose types nothing else sets
_new: Any = _PYTHON.PyBytes_FromStringAndSize
_new.argtypes, _new.restype = (ctypes.c_void_p, ctypes.c_ssize_t), ctypes.py_object
_address: Any = _PYTHON.PyBytes_AsString
_address.argtypes, _address.restype = (ctypes.py_object,), ctypes.c_void_p
_view: Any = _PYTHON.PyMemoryView_FromMemory
_view.argtypes, _view.restype = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int), ctypes.py_object
_WRITE: Final = 0x200  # PyBUF_WRITE


def new_bytes(size: int) -> tuple[bytes, memoryview]:
    """Return ``size`` bytes, at least 1, of any content, and the view through which ``os.preadv`` fills them.

    Without them the data would be copied once more, from a buffer that can be written into bytes. Python's C API allows
    to write new bytes as long as nothing else knows them. The view must not be used longer than the bytes exist.
    """
    if size < 1:
        raise ValueError(f"{size} bytes cannot be filled")
    data: bytes = _new(None, size)
    return data, _view(_address(data), size, _WRITE)


class FilesystemReader:
    """Implements ``stores.base.Reader`` and ``ReadsNow``; of a whole file also ``LocalFile``.

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
        """Read from the page cache, straight into the part."""
        if not self._tells:
            return None
        left = self._end - self._position
        if not left:
            return b""
        size = min(size, left, NOW_BYTES)
        part, buffer = new_bytes(size)
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
        return part if count == size else part[:count]

    def _too_early(self) -> StoreUnavailable:
        left = self._end - self._position
        return StoreUnavailable(f"The data in store {self._store_id} end {left} bytes too early.")

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            # nothing was written, so an error is harmless
            with contextlib.suppress(OSError):
                os.close(fd)
