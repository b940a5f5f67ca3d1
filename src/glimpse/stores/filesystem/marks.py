"""The mark of an image file: which attempt to write it has made it."""

from __future__ import annotations

import errno
import os
from typing import Final

#: The extended attribute with the name of the attempt.
ATTEMPT_ATTRIBUTE: Final = "user.glimpse.attempt"

#: How file systems without extended attributes refuse them.
NO_ATTRIBUTES: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})


def mark(fd: int, attempt: str) -> bool:
    """Mark an open file that has no mark with ``attempt``; False: it has one, or the file system has no marks."""
    try:
        os.setxattr(fd, ATTEMPT_ATTRIBUTE, attempt.encode(), os.XATTR_CREATE)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_ATTRIBUTES:
            raise
        return False
    return True


def is_of_attempt(path: str | int, attempt: str) -> bool | None:
    """Tell whether a file, given by its name or its descriptor, has the mark of ``attempt``; None if the file system
    does not support marks.

    :raises FileNotFoundError: the file does not exist.
    """
    try:
        return os.getxattr(path, ATTEMPT_ATTRIBUTE, follow_symlinks=isinstance(path, int)) == attempt.encode()
    except OSError as error:
        if error.errno == errno.ENODATA:
            return False
        if error.errno in NO_ATTRIBUTES:
            return None
        raise
