"""Checks whether the kernel would let this process remove a file, without removing it."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable
from functools import cache

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_ATTR_IMMUTABLE, _ATTR_APPEND = 0x10, 0x20

#: ``struct statx``: its size in bytes, and the position of the file's attributes.
_STATX_SIZE, _ATTRIBUTES = 256, slice(8, 16)


def check_unlink(path: str) -> None:
    """Return if ``os.unlink(path)`` can be expected to work.

    :raises OSError: as unlink would for a permanent reason: the file does not exist, its file system is read-only, its
        directory is not writable, or the file or directory is immutable or append-only.
    """
    directory = os.path.dirname(path)
    file, parent = os.lstat(path), os.stat(directory)
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        raise _error(errno.EROFS, path)
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
        raise _error(errno.EACCES, path)
    sticky = parent.st_mode & stat.S_ISVTX
    if sticky and os.geteuid() not in {0, file.st_uid, parent.st_uid}:
        raise _error(errno.EPERM, path)
    if any(_attributes(name) & (_ATTR_IMMUTABLE | _ATTR_APPEND) for name in (path, directory)):
        raise _error(errno.EPERM, path)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _attributes(path: str) -> int:
    """Return the attributes that statx(2) reports; 0 if the file system or the C library does not support them."""
    statx = _statx()
    if statx is None:
        return 0
    found = ctypes.create_string_buffer(_STATX_SIZE)
    if statx(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, 0, found):
        number = ctypes.get_errno()
        if number == errno.ENOSYS:
            return 0
        raise _error(number, path)
    return int.from_bytes(found.raw[_ATTRIBUTES], sys.byteorder)


@cache
def _statx() -> Callable[..., int] | None:
    try:
        return ctypes.CDLL(None, use_errno=True).statx
    except AttributeError:
        return None
