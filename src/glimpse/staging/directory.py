"""A staging area in a local directory, with the layout of Glance (store-formats 12).

``<directory>/<image id>`` has the complete data of an image, ``<directory>/<image id>.<attempt>.part`` unfinished
ones. Other names are left alone. All files are found through the open directory, and no symbolic link is followed, so
that another user of the host cannot redirect a file.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glimpse.errors import AccessDenied, DataNotFound, Duplicate, GlimpseError, Invalid, StoreFull, StoreUnavailable
from glimpse.staging.base import IMAGE_ID, is_image_id
from glimpse.stores.argument_checks import is_attempt_name
from glimpse.stores.base import Bytes, Placed
from glimpse.stores.filesystem.reader import OPEN_FLAGS, FilesystemReader

LOG = logging.getLogger(__name__)

#: After this many bytes the kernel is told to start writing them to disk, so that the final sync has little to do.
_WRITE_OUT_EVERY = 64 << 20

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_is_unfinished = re.compile(rf"({IMAGE_ID})\.([0-9A-Za-z]{{1,64}})\.part").fullmatch
_of_image = re.compile(rf"({IMAGE_ID})(?:\..*)?", re.DOTALL).fullmatch

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_DIRECTORY_SYNC = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


class DirectoryStaging:
    """Implements ``staging.base.StagingArea``. Each call opens the directory; the first writer creates it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def writer(self, image_id: str, attempt: str) -> StagingWriter:
        """See :meth:`glimpse.staging.base.StagingArea.writer`.

        :raises Invalid: ``image_id`` is not a UUID, or ``attempt`` not a name.
        """
        name = _unfinished(image_id, attempt)
        with _errors("written"):
            folder = self._open(create=True)
            try:
                fd = os.open(name, _CREATE, 0o600, dir_fd=folder)
            except BaseException:
                os.close(folder)
                raise
        return StagingWriter(folder, fd, unfinished=name, image_id=image_id, url=f"file://{self._directory}/{image_id}")

    def scratch(self, image_id: str, attempt: str) -> Path:
        """See :meth:`glimpse.staging.base.StagingArea.scratch`."""
        name = _unfinished(image_id, attempt)
        with _errors("written"):
            folder = self._open(create=True)
            try:
                os.close(os.open(name, _CREATE, 0o600, dir_fd=folder))
            finally:
                os.close(folder)
        return self._directory / name

    def fresh_writer(self, image_id: str, attempt: str) -> StagingWriter:
        """See :meth:`glimpse.staging.base.StagingArea.fresh_writer`."""
        self.remove(image_id)
        return self.writer(image_id, attempt)

    def size(self, image_id: str) -> int | None:
        """See :meth:`glimpse.staging.base.StagingArea.size`."""
        with self._opened() as folder:
            found = _look(folder, image_id)
        return None if found is None else found.st_size

    def reader(self, image_id: str) -> FilesystemReader:
        """See :meth:`glimpse.staging.base.StagingArea.reader`."""
        with self._opened() as folder:
            if _look(folder, image_id) is None:
                raise DataNotFound(f"No data are staged for image {image_id}.")
            fd = os.open(image_id, OPEN_FLAGS, dir_fd=folder)
            try:
                return FilesystemReader("staging", fd, 0, os.fstat(fd).st_size)
            except BaseException:
                os.close(fd)
                raise

    def path(self, image_id: str) -> Path | None:
        """See :meth:`glimpse.staging.base.StagingArea.path`."""
        return None if self.size(image_id) is None else self._directory / image_id

    def remove(self, image_id: str) -> bool:
        """See :meth:`glimpse.staging.base.StagingArea.remove`."""
        if not is_image_id(image_id):
            return False
        with self._opened("cleaned up") as folder:
            if folder is None:
                return False
            # unfinished files first: from then on a writer that is still alive cannot publish
            names = [name for name in os.listdir(folder) if name.startswith(f"{image_id}.")]
            return _unlink(folder, *names, image_id)

    def sweep(self, image_id: str, attempt: str) -> bool:
        """See :meth:`glimpse.staging.base.StagingArea.sweep`."""
        with self._opened("cleaned up") as folder:
            return folder is not None and _unlink(folder, _unfinished(image_id, attempt))

    def images(self) -> Iterator[tuple[str, float]]:
        """See :meth:`glimpse.staging.base.StagingArea.images`."""
        found: dict[str, float] = {}
        with self._opened() as folder:
            for name in [] if folder is None else os.listdir(folder):
                parts = _of_image(name)
                if parts is not None:
                    with suppress(FileNotFoundError):
                        changed_at = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
                        found[parts[1]] = max(changed_at, found.get(parts[1], 0.0))
        yield from found.items()

    def unfinished(self) -> Iterator[tuple[str, str, float]]:
        """See :meth:`glimpse.staging.base.StagingArea.unfinished`."""
        found: list[tuple[str, str, float]] = []
        with self._opened() as folder:
            for name in [] if folder is None else os.listdir(folder):
                parts = _is_unfinished(name)
                if parts is not None:
                    # it may have been completed or removed meanwhile
                    with suppress(FileNotFoundError):
                        changed_at = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
                        found.append((parts[1], parts[2], changed_at))
        yield from found

    def close(self) -> None:
        """Nothing stays open between calls."""

    @contextmanager
    def _opened(self, done: str = "read") -> Generator[int | None]:
        """Open the directory; None: it does not exist, so nothing is staged. ``done`` is for messages."""
        with _errors(done):
            try:
                folder = self._open(create=False)
            except FileNotFoundError:
                yield None
                return
            try:
                yield folder
            finally:
                os.close(folder)

    def _open(self, *, create: bool) -> int:
        """:raises AccessDenied: it is a symbolic link, or another user's."""
        if create:
            self._directory.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                # others on this host can neither read images nor put files there
                self._directory.mkdir(mode=0o700)
        try:
            folder = os.open(self._directory, _DIRECTORY)
        except OSError as error:
            if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                raise AccessDenied("The staging area is not a directory; it must not be a symbolic link.") from error
            raise
        owner = os.fstat(folder).st_uid
        if owner not in {0, os.geteuid()}:
            os.close(folder)
            raise AccessDenied("The staging directory belongs to another user of this host.")
        return folder


class StagingWriter:
    """Implements ``stores.base.Writer``. Owns the unfinished file ``fd``, and the open directory, until it ends."""

    __slots__ = ("_fd", "_folder", "_image_id", "_nothing_left", "_position", "_unfinished", "_url", "_written_out")

    def __init__(self, folder: int, fd: int, *, unfinished: str, image_id: str, url: str) -> None:
        """``unfinished`` and ``image_id`` are the names of the file before and after the commit."""
        self._folder = folder
        self._fd = fd
        self._unfinished = unfinished
        self._image_id = image_id
        self._url = url
        self._position = 0
        self._written_out = 0
        self._nothing_left = True

    def write(self, data: Bytes) -> None:
        """See :meth:`glimpse.stores.base.Writer.write`."""
        size = len(data)
        with _errors("written"):
            done = os.pwrite(self._fd, data, self._position)
            while done < size:
                done += os.pwrite(self._fd, memoryview(data)[done:], self._position + done)
        self._position += size
        if self._position - self._written_out >= _WRITE_OUT_EVERY:
            self._start_writing_out()

    def commit(self) -> Placed:
        """See :meth:`glimpse.stores.base.Writer.commit`; replaces complete data of an earlier attempt."""
        with _errors("written"):
            os.fsync(self._fd)
            os.rename(self._unfinished, self._image_id, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            try:
                _sync(self._folder)
            except OSError:
                os.unlink(self._image_id, dir_fd=self._folder)
                raise
        self._close()
        return Placed(self._url, {})

    def abort(self) -> bool:
        """See :meth:`glimpse.stores.base.Writer.abort`."""
        if self._fd < 0:
            return self._nothing_left
        try:
            _unlink(self._folder, self._unfinished)
        except OSError as error:
            self._nothing_left = False
            LOG.warning("Unfinished data could not be removed from the staging area: %s", error)
        self._close()
        return self._nothing_left

    def _start_writing_out(self) -> None:
        try:
            # only advice, which a file system may refuse
            os.posix_fadvise(self._fd, self._written_out, self._position - self._written_out, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            LOG.debug("The file system of the staging area takes no advice: %s", error)
        self._written_out = self._position

    def _close(self) -> None:
        for fd in (self._fd, self._folder):
            try:
                os.close(fd)
            except OSError as error:
                # no data are lost: the file has been synced, or is discarded
                LOG.warning("A file of the staging area was closed with an error: %s", error)
        self._fd = self._folder = -1


def _unfinished(image_id: str, attempt: str) -> str:
    if not (is_image_id(image_id) and is_attempt_name(attempt)):
        raise Invalid("The id of a staged image is a UUID, and the name of an attempt consists of letters and digits.")
    return f"{image_id}.{attempt}.part"


def _look(folder: int | None, image_id: str) -> os.stat_result | None:
    """Return the status of the complete file of an image; None: there is none, or something that is no plain file."""
    if folder is None or not is_image_id(image_id):
        return None
    try:
        found = os.stat(image_id, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _unlink(folder: int, *names: str) -> bool:
    """Remove those of the names that exist; return whether there were any."""
    removed = False
    for name in names:
        try:
            os.unlink(name, dir_fd=folder)
            removed = True
        except FileNotFoundError:
            continue
    if removed:
        _sync(folder)
    return removed


def _sync(folder: int) -> None:
    """Make changed names durable; file systems that do not support this are accepted."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


@contextmanager
def _errors(done: str) -> Generator[None]:
    """Raise the errors of a store for ``OSError`` in the block. The messages have no path, which is not for users."""
    try:
        yield
    except OSError as error:
        raise _meaning(error, done) from error


def _meaning(error: OSError, done: str) -> GlimpseError:
    reason = os.strerror(error.errno) if error.errno else "unknown reason"
    if error.errno in _FULL:
        return StoreFull("The staging area has no space left for the data.")
    if error.errno in _REFUSED:
        return AccessDenied(f"The staging area cannot be {done}: {reason}.")
    if error.errno == errno.ENOENT:
        return StoreUnavailable("The staging of the data was aborted meanwhile, or the staging area disappeared.")
    if error.errno == errno.EEXIST:
        return Duplicate("This attempt to stage data has already begun.")
    return StoreUnavailable(f"The staging area cannot be {done} now: {reason}.")
