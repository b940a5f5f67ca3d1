"""Writing one image file until it is durable under its name.

The bytes go to an unfinished file, whose name contains the image id and the attempt; the last step changes it to the
final name. After the unfinished name is removed (``FilesystemStore.sweep``) the writer cannot publish: one that stalled
and continues later fails, and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from typing import Any

import msgspec

from glimpse.errors import StoreUnavailable
from glimpse.stores.base import Bytes, Placed
from glimpse.stores.filesystem.adoption import can_adopt, give_back, link_open_file
from glimpse.stores.filesystem.marks import ATTEMPT_ATTRIBUTE, NO_ATTRIBUTES, mark
from glimpse.stores.filesystem.os_errors import write_error
from glimpse.stores.object_errors import duplicate, full

LOG = logging.getLogger(__name__)

#: After this many bytes the kernel is told to start writing them to disk, so that the final sync has little to do.
_WRITE_OUT_EVERY = 64 << 20

#: A writer uses at most this fraction of the free space before it checks again, because others write as well.
_SHARE = 128
_LONGEST_LOOK = 64 << 20
_NO_END = 1 << 63

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NO_DIRECTORY_SYNC = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how a file is written: its names, its ``mode`` (0: unchanged), the metadata of its location, and the
    ``reserve``, the number of bytes to keep free.

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
    """Implements ``stores.base.Writer`` and ``AdoptsFiles``. Owns the unfinished file ``fd`` until it ends."""

    __slots__ = ("_adopted", "_fd", "_nothing_left", "_position", "_room", "_target", "_written_out")

    def __init__(self, target: Target, fd: int) -> None:
        self._target = target
        self._fd = fd
        self._position: int = 0
        self._nothing_left = True
        #: what an adopted file was like at first: the time of its last change (ns)
        self._adopted: int | None = None
        self._written_out: int = 0
        self._room: int = 0 if target.reserve else _NO_END

    def write(self, data: Bytes) -> None:
        size = len(data)
        if self._adopted is not None:
            self._position += size
            return
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

    def adopt(self, fd: int) -> bool:
        """See :meth:`glimpse.stores.base.AdoptsFiles.adopt`.

        The unfinished name becomes another name of the file. The file gets the group, the permissions and the mark that
        a file has which is written here; one that would differ in anything else is not adopted. The mark is never
        replaced, so that no two attempts have the same file, and none of them touches what the other one has published.
        """
        target = self._target
        try:
            if not can_adopt(fd, like=self._fd) or not mark(fd, target.attempt):
                return False
            os.unlink(target.unfinished)
            adopted = link_open_file(fd, target.unfinished)
            taken = os.dup(fd) if adopted else create_marked(target.unfinished, target.attempt)
        except FileExistsError as error:
            raise duplicate(target.store_id, target.image_id) from error
        except OSError as error:
            raise write_error(target.store_id, error) from error
        self._close()
        self._fd = taken
        if adopted:
            self._adopted = os.fstat(taken).st_mtime_ns
        return adopted

    def commit(self) -> Placed:
        target, fd = self._target, self._fd
        try:
            if target.mode:
                os.fchmod(fd, target.mode)
            os.fsync(fd)
            if self._adopted is not None:
                self._require_unchanged()
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

    def abort(self) -> bool:
        if self._fd < 0:
            return self._nothing_left
        # an adopted file keeps the name that it had before
        swept = os.fstat(self._fd).st_nlink <= (self._adopted is not None)
        try:
            os.unlink(self._target.unfinished)
            sync_directory(self._target.directory)
            if self._adopted is not None:
                give_back(self._fd, self._target.attempt)
            self._nothing_left = True
        except OSError as error:
            # if it has a name, but not here, the directory is not mounted any more
            self._nothing_left = swept and isinstance(error, FileNotFoundError)
            if not self._nothing_left:
                LOG.warning("Store %s: unfinished data could not be removed: %s", self._target.store_id, error)
        self._close()
        return self._nothing_left

    def _require_unchanged(self) -> None:
        """:raises StoreUnavailable: an adopted file is not the one whose data were seen."""
        found = os.fstat(self._fd)
        if (found.st_size, found.st_mtime_ns) != (self._position, self._adopted):
            raise StoreUnavailable("The staged data were changed while they were imported.")

    def _take_room(self, size: int) -> None:
        """Check the free space, after the amount found by the last check is used up.

        :raises StoreFull: ``size`` more bytes would use the reserve.
        """
        found = os.fstatvfs(self._fd)
        left = found.f_bavail * found.f_frsize - self._target.reserve - size
        if left < 0:
            raise full(self._target.store_id)
        self._room = min(left // _SHARE, _LONGEST_LOOK)

    def _start_writing_out(self) -> None:
        # on Linux this starts writing and does not wait; it is only advice, which a file system may ignore
        with contextlib.suppress(OSError):
            length = self._position - self._written_out
            os.posix_fadvise(self._fd, self._written_out, length, os.POSIX_FADV_DONTNEED)
        self._written_out = self._position

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        try:
            os.close(fd)
        except OSError as error:
            # no data are lost: the file has been synced, or is discarded
            LOG.warning("Store %s: an image file was closed with an error: %s", self._target.store_id, error)


class ThinWriter(FilesystemWriter):
    """Leaves holes instead of zero blocks; the file reads the same (store-formats 5.2)."""

    __slots__ = ("_zeros",)

    def __init__(self, target: Target, fd: int, zeros: bytes) -> None:
        """``zeros`` is a block of zero bytes; its length is the block size."""
        super().__init__(target, fd)
        self._zeros = zeros

    def adopt(self, fd: int) -> bool:  # noqa: ARG002 - see AdoptsFiles
        """A file with blocks of zeros is not what the configuration asks for."""
        return False

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
            # if the file ends with a hole, nothing was written that would give it its full length
            os.ftruncate(self._fd, self._position)
        except OSError as error:
            raise write_error(self._target.store_id, error) from error
        return super().commit()


def data_runs(view: memoryview, position: int, zeros: bytes) -> list[tuple[int, int]]:
    """Return the parts of ``view`` that are not zero, as (start, end), aligned to the blocks of the file.

    ``view`` is at ``position`` of the file, so its first and last blocks may be partial. Zeros in partial blocks are
    skipped as well, because nothing has been written to the file there yet.
    """
    block, size = len(zeros), len(view)
    runs: list[tuple[int, int]] = []
    run_start = -1
    begin, end = 0, block - position % block
    while begin < size:
        # the comparison is one memcmp, which stops at the first byte that differs
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
    """Create the file ``path``, which must not exist, with the mark of ``attempt``; return its descriptor.

    The mark is an extended attribute of the file. File systems without extended attributes do not support marks.
    """
    # the umask of the service, or a default ACL of the directory, restricts this
    fd = os.open(path, _CREATE, 0o666)
    try:
        os.setxattr(fd, ATTEMPT_ATTRIBUTE, attempt.encode())
    except OSError as error:
        if error.errno not in NO_ATTRIBUTES:
            os.close(fd)
            os.unlink(path)
            raise
    return fd


def publish(target: Target, fd: int) -> None:
    """Give the unfinished file of ``target``, open as ``fd`` and synced, its final name. If this raises, the file does
    not have it.

    :raises FileExistsError: the final name exists; it is not changed.
    :raises FileNotFoundError: the unfinished name no longer exists, because the attempt was swept.
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
    """Add the final name, which never replaces a file, then remove the unfinished one."""
    try:
        os.link(unfinished, final)
    except FileExistsError:
        # a network file system that repeats a request after losing the response finds its own link
        if not _is_file(final, fd):
            raise
    try:
        os.unlink(unfinished)
    except OSError:
        _withdraw(final, fd)
        raise


def publish_by_rename(unfinished: str, final: str, attempt: str) -> None:
    """Publish without hard links: reserve the final name with an empty file, then replace it.

    Until then the name refers to an empty file. It is not read: its location is not recorded before the commit.
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
    """Make changed names in a directory durable; file systems that do not support this are accepted."""
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
    """Tell whether ``path`` is a name of the open file ``fd``, and not of another attempt's file."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
