"""Whether a local file can become an image file under another name, without a copy."""

from __future__ import annotations

import errno
import logging
import os
import stat

from glimpse.stores.filesystem.marks import ATTEMPT_ATTRIBUTE, NO_ATTRIBUTES, is_of_attempt

LOG = logging.getLogger(__name__)

#: The file cannot have this name: another mount of the same file system, no hard links, or not for this user.
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.ENOENT})


def can_adopt(fd: int, *, like: int) -> bool:
    """Make the open file ``fd`` a file like the empty one ``like``, which was created in a data directory; tell whether
    that was possible.

    They must have the file system and the owner in common, and the access lists and security labels that a directory
    gives to its files. The group and the permissions are changed.
    """
    given, made = os.fstat(fd), os.fstat(like)
    if not stat.S_ISREG(given.st_mode) or (given.st_dev, given.st_uid) != (made.st_dev, made.st_uid):
        return False
    if _attributes(fd) != _attributes(like):
        return False
    try:
        if given.st_gid != made.st_gid:
            os.fchown(fd, -1, made.st_gid)
        os.fchmod(fd, stat.S_IMODE(made.st_mode))
    except PermissionError as error:
        LOG.info("Staged data are copied: their file cannot get the group and the permissions it needs: %s", error)
        return False
    return True


def link_open_file(fd: int, path: str) -> bool:
    """Make ``path`` a further name of the open file ``fd``; tell whether the file system allows that.

    :raises FileExistsError: the name exists.
    """
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # with a directory, Python makes the call that follows the link of /proc to the file
        os.link(f"/proc/self/fd/{fd}", os.path.basename(path), dst_dir_fd=folder, follow_symlinks=True)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        LOG.info("Staged data are copied: their file cannot have a name in the data directory: %s", error)
        return False
    finally:
        os.close(folder)
    return True


def give_back(fd: int, attempt: str) -> None:
    """Remove the mark of ``attempt`` from a file that has no name in a data directory any more: another attempt may
    adopt it.
    """
    if os.fstat(fd).st_nlink == 1 and is_of_attempt(fd, attempt):
        os.removexattr(fd, ATTEMPT_ATTRIBUTE)


def _attributes(fd: int) -> dict[str, bytes]:
    """Return the extended attributes of a file, access lists and security labels among them, but for its mark."""
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno in NO_ATTRIBUTES:
            return {}
        raise
    return {name: os.getxattr(fd, name) for name in names if name != ATTEMPT_ATTRIBUTE}
