"""Writing one image file until it is durable under its name.

The bytes go to an unfinished file, whose name tells its image and attempt; the last step makes that name the final one.
Taking the unfinished name away (``FilesystemStore.sweep``) takes the right to publish away: a writer that stalled and
wakes up again fails, and leaves nothing.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from typing import Any

import msgspec

from glimpse.stores.base import Bytes, Placed
from glimpse.stores.filesystem.os_errors import duplicate, full, write_error

LOG = logging.getLogger(__name__)

#: After so many bytes the kernel is told to start writing them out, so that the sync at the end has little to do.
_WRITE_OUT_EVERY = 64 << 20

#: Of what is free a writer may take this part before it looks again: others write as well.
_SHARE = 128
_LONGEST_LOOK = 64 << 20
_NO_END = 1 << 63

_ATTEMPT_ATTRIBUTE = "user.glimpse.attempt"
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NO_ATTRIBUTES = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})
_NO_DIRECTORY_SYNC = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the bytes: the names of the file, its ``mode`` (0: leave it), the metadata of its location, and
    the ``reserve``, the bytes that must stay free.

    ``directory`` is the data directory of both names, ``elsewhere`` are the others, which must not have the image.
    """

    store_id: str
    image_id: str
    attempt: str
    directory: str
    unfinished: str
    final: str
    elsewhere: tuple[str, ...]
    mode: int
    reserve: int
    metadata: dict[str, Any]


class FilesystemWriter:
    """Implements ``stores.base.Writer``. Owns the unfinished file, open as ``fd``, until it ends."""

    __slots__ = ("_fd", "_position", "_room", "_target", "_written_out")

    def __init__(self, target: Target, fd: int) -> None:
        self._target = target
        self._fd = fd
        self._position: int = 0
        self._written_out: int = 0
        self._room: int = 0 if target.reserve else _NO_END

    def write(self, data: Bytes) -> None:
        size = len(data)
        self._room -= size
        try:
            if self._room < 0:
                self._take_room(size)
            done = os.pwrite(self._fd, data, self._position)
            while done < size:
                done += os.pwrite(self._fd, memoryview(data)[done:], self._position + done)
        except OSError as error:
            raise write_error(self._target.store_id, error) from error
        self._position += size
        if self._position - self._written_out >= _WRITE_OUT_EVERY:
            self._start_writing_out()

    def commit(self) -> Placed:
        target, fd = self._target, self._fd
        try:
            if target.mode:
                os.fchmod(fd, target.mode)
            os.fsync(fd)
            for directory in target.elsewhere:
                if os.path.lexists(f"{directory}/{target.image_id}"):
                    raise duplicate(target.store_id, target.image_id)
            publish(target, fd)
        except FileExistsError as error:
            raise duplicate(target.store_id, target.image_id) from error
        except OSError as error:
            raise write_error(target.store_id, error) from error
        self._close()
        return Placed(f"file://{target.final}", target.metadata)

    def abort(self) -> None:
        if self._fd < 0:
            return
        self._close()
        try:
            os.unlink(self._target.unfinished)
            sync_directory(self._target.directory)
        except FileNotFoundError:
            pass  # swept already
        except OSError as error:
            LOG.warning("Store %s: unfinished data could not be removed: %s", self._target.store_id, error)

    def _take_room(self, size: int) -> None:
        """Look how much is free, when what was found before is used up.

        :raises StoreFull: ``size`` bytes more would take from the reserve.
        """
        found = os.fstatvfs(self._fd)
        left = found.f_bavail * found.f_frsize - self._target.reserve - size
        if left < 0:
            raise full(self._target.store_id)
        self._room = min(left // _SHARE, _LONGEST_LOOK)

    def _start_writing_out(self) -> None:
        # on Linux this starts writing and does not wait; it is advice, a file system without it loses nothing
        with contextlib.suppress(OSError):
            length = self._position - self._written_out
            os.posix_fadvise(self._fd, self._written_out, length, os.POSIX_FADV_DONTNEED)
        self._written_out = self._position

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        try:
            os.close(fd)
        except OSError as error:
            # nothing is lost with it: the file has been synced, or is not wanted
            LOG.warning("Store %s: an image file was closed with an error: %s", self._target.store_id, error)


class ThinWriter(FilesystemWriter):
    """Leaves holes where blocks are zero; the file reads the same (store-formats 5.2)."""

    __slots__ = ("_zeros",)

    def __init__(self, target: Target, fd: int, zeros: bytes) -> None:
        """``zeros`` is a block of zero bytes; its length is that of the blocks that are looked at."""
        super().__init__(target, fd)
        self._zeros = zeros

    def write(self, data: Bytes) -> None:
        view = memoryview(data)
        try:
            runs = data_runs(view, self._position, self._zeros)
            size = sum(end - start for start, end in runs)
            self._room -= size
            if self._room < 0:
                self._take_room(size)
            for start, end in runs:
                done = start
                while done < end:
                    done += os.pwrite(self._fd, view[done:end], self._position + done)
        except OSError as error:
            raise write_error(self._target.store_id, error) from error
        self._position += len(view)
        if self._position - self._written_out >= _WRITE_OUT_EVERY:
            self._start_writing_out()

    def commit(self) -> Placed:
        try:
            # a hole at the end has no byte written behind it that would make the file long enough
            os.ftruncate(self._fd, self._position)
        except OSError as error:
            raise write_error(self._target.store_id, error) from error
        return super().commit()


def data_runs(view: memoryview, position: int, zeros: bytes) -> list[tuple[int, int]]:
    """The parts of ``view`` that are not zero, as (start, end), in steps of the blocks of a file.

    ``view`` lies at ``position`` of the file, so its first and last steps may be parts of blocks. Zeros in them count
    as well: nothing has been written to the file yet where they would go.
    """
    block, size = len(zeros), len(view)
    runs: list[tuple[int, int]] = []
    run_start = -1
    begin, end = 0, block - position % block
    while begin < size:
        # the comparison is one memcmp, which ends at the first byte that differs
        if zeros.startswith(view[begin:end]):
            if run_start >= 0:
                runs.append((run_start, begin))
                run_start = -1
        elif run_start < 0:
            run_start = begin
        begin, end = end, end + block
    if run_start >= 0:
        runs.append((run_start, size))
    return runs


def create_marked(path: str, attempt: str) -> int:
    """Create the file ``path``, which must not exist, marked as the work of ``attempt``; returns its descriptor.

    The mark is an extended attribute and stays with the file. File systems without attributes have no marks.
    """
    # the umask of the service, or a default ACL of the directory, restricts this
    fd = os.open(path, _CREATE, 0o666)
    try:
        os.setxattr(fd, _ATTEMPT_ATTRIBUTE, attempt.encode())
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            os.close(fd)
            os.unlink(path)
            raise
    return fd


def is_of_attempt(path: str, attempt: str) -> bool | None:
    """Whether the file ``path`` bears the mark of ``attempt``; None where the file system has no marks.

    :raises FileNotFoundError: there is no such file.
    """
    try:
        return os.getxattr(path, _ATTEMPT_ATTRIBUTE, follow_symlinks=False) == attempt.encode()
    except OSError as error:
        if error.errno == errno.ENODATA:
            return False
        if error.errno in _NO_ATTRIBUTES:
            return None
        raise


def publish(target: Target, fd: int) -> None:
    """Give the unfinished file of ``target``, open as ``fd`` and synced, its final name. When this raises, it has not.

    :raises FileExistsError: the final name exists; it is left untouched.
    :raises FileNotFoundError: the unfinished name is gone, because the attempt was swept.
    """
    try:
        publish_by_link(target.unfinished, target.final, fd)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        publish_by_rename(target.unfinished, target.final, target.attempt)
    try:
        sync_directory(target.directory)
    except OSError:
        _withdraw(target.final, fd)
        raise


def publish_by_link(unfinished: str, final: str, fd: int) -> None:
    """Give the file its second name, which never replaces a file, then take the first away."""
    try:
        os.link(unfinished, final)
    except FileExistsError:
        # a network file system that repeats a request whose answer was lost finds its own link
        if not _is_file(final, fd):
            raise
    try:
        os.unlink(unfinished)
    except OSError:
        _withdraw(final, fd)
        raise


def publish_by_rename(unfinished: str, final: str, attempt: str) -> None:
    """For file systems without hard links: reserve the final name with an empty file, then replace that.

    Until then the name leads to an empty file. Nobody looks: no location of it is recorded before the commit.
    """
    reservation = create_marked(final, attempt)
    try:
        os.rename(unfinished, final)
    except OSError:
        _withdraw(final, reservation)
        raise
    finally:
        os.close(reservation)


def sync_directory(path: str) -> None:
    """Make changed names of a directory durable; file systems that cannot are taken as they are."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(fd)


def _withdraw(final: str, fd: int) -> None:
    if _is_file(final, fd):
        os.unlink(final)


def _is_file(path: str, fd: int) -> bool:
    """Whether ``path`` is the name of the open file ``fd``, and not of one that another attempt put there."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
