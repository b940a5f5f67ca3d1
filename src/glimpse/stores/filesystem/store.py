"""The store of kind ``file``: the state of its data directories, and the objects in them."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from glimpse.errors import DataNotFound, GlimpseError, StoreUnavailable
from glimpse.stores.argument_checks import (
    after_scheme,
    check_names,
    is_attempt_name,
    is_object_name,
    name_error,
    span_length,
)
from glimpse.stores.base import StoredObject, StoreMisconfigured
from glimpse.stores.filesystem.directories import (
    MARKER,
    Prepared,
    configured_directories,
    configured_mode,
    entry_above,
    expects_marker,
    prepare,
    read_mountpoints,
)
from glimpse.stores.filesystem.marks import is_of_attempt
from glimpse.stores.filesystem.options import SCHEMES, FilesystemOptions
from glimpse.stores.filesystem.os_errors import delete_error, open_error, write_error
from glimpse.stores.filesystem.reader import OPEN_FLAGS, FilesystemReader
from glimpse.stores.filesystem.unlinking import check_unlink
from glimpse.stores.filesystem.writer import (
    FilesystemWriter,
    Target,
    ThinWriter,
    create_marked,
    sync_directory,
)
from glimpse.stores.object_errors import duplicate, foreign, full
from glimpse.stores.timed_calls import START_SECONDS, within

LOG = logging.getLogger(__name__)

_SMALLEST_BLOCK, _LARGEST_BLOCK = 4 << 10, 1 << 20

#: Path of unfinished data: directory, image id, attempt. No location can name it.
_UNFINISHED = "{}/.{}.{}.partial"
_UNFINISHED_NAME = re.compile(r"\.([0-9A-Za-z][0-9A-Za-z._-]{0,127})\.([0-9A-Za-z]{1,64})\.partial")


class DataDirectory:
    """One directory of image files."""

    def __init__(
        self, store_id: str, path: str, priority: int, prepare: Callable[[], Prepared], *, reserve: int
    ) -> None:
        """``prepare`` makes the directory ready for use; ``reserve`` is the number of bytes to keep free.

        A directory that is unavailable now is prepared when it is first needed.

        :raises StoreMisconfigured: it cannot be used.
        """
        self.path = path
        self.priority = priority
        self._store_id = store_id
        self._prepare = prepare
        self._reserve = reserve
        self._marker: str | None = None
        self._prepared: Prepared | None = None
        try:
            self._prepared = within(START_SECONDS, prepare, f"A data directory of store {store_id}")
        except StoreUnavailable as error:
            LOG.error("Store %s starts without its directory %s: %s", store_id, path, error)  # noqa: TRY400

    def require_present(self) -> None:
        """Return if the directory is mounted, so that a missing file is really missing (store-formats 14, quirk 7).

        The directory must be the one seen at start, or another on the same mount point. If its mount point no longer
        exists, the directory is absent even if its path exists. So it is without its marker, once
        :meth:`check_marker` was called.

        :raises StoreUnavailable: the directory is absent.
        """
        if self._prepared is None:
            self._prepare_late()
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise self._absent() from error
        identity = (found.st_dev, found.st_ino)
        if self._prepared is not None and identity != self._prepared.identity:
            if not os.path.ismount(self._prepared.mount_point):
                raise self._absent()
            self._prepared = Prepared(identity, self._prepared.mount_point)
        if self._marker is not None:
            try:
                os.stat(self._marker)
            except OSError as error:
                raise StoreUnavailable(
                    f"A data directory of store {self._store_id} does not have its marker file; is it mounted?"
                ) from error

    def _prepare_late(self) -> None:
        try:
            self._prepared = self._prepare()
        except StoreMisconfigured as error:
            LOG.error("The %s", error)  # noqa: TRY400 - the message is complete
            raise self._absent() from error

    def check_marker(self, recorded: Callable[[str], Sequence[str]]) -> None:
        """See :meth:`glimpse.stores.base.MarkedStore.check_markers`."""

        def paths() -> Iterator[str]:
            for url in recorded(f"file://{self.path}/"):
                yield url.removeprefix("file://")

        if expects_marker(self._store_id, self.path, paths()):
            self._marker = f"{self.path}/{MARKER}"

    def free_bytes(self) -> int:
        """Return the bytes available for images, without the reserve; at least 0.

        :raises StoreUnavailable: the file system does not respond.
        """
        try:
            found = os.statvfs(self.path)
        except OSError as error:
            raise self._absent() from error
        return max(0, found.f_bavail * found.f_frsize - self._reserve)

    def _absent(self) -> StoreUnavailable:
        return StoreUnavailable(f"A data directory of store {self._store_id} does not exist; is it mounted?")


def choose_directory(
    store_id: str, directories: tuple[DataDirectory, ...], size: int | None, *, thin: bool
) -> DataDirectory:
    """Choose the directory for an object of ``size`` bytes (None: unknown): of those where it fits, the one with the
    highest priority, among equals the one with the most free space (store-formats 5.3). ``directories`` are sorted by
    descending priority.

    With thin provisioning the object may need less than its size: if it fits nowhere, the directory with the most free
    space is tried.

    :raises StoreFull: no directory has the space.
    """
    chosen: DataDirectory | None = None
    best = (False, 0, 0)
    for directory in directories:
        free = directory.free_bytes()
        fits = free >= (size or 0)
        rank = (True, directory.priority, free) if fits else (False, 0, free)
        if free > 0 and (fits or thin) and rank > best:
            chosen, best = directory, rank
    if chosen is None:
        raise full(store_id)
    return chosen


class FilesystemStore:
    """Implements ``stores.base.Store`` and several of the ability protocols.

    An image is the plain file ``<data directory>/<image id>``. Until its commit it is
    ``<data directory>/.<image id>.<attempt>.partial``, which no location can name.
    """

    scheme = "file"

    writable = True

    def __init__(self, store_id: str, options: FilesystemOptions) -> None:
        """Create and check the data directories whose file systems are available.

        :raises StoreMisconfigured: the options contradict each other, or a directory cannot be written.
        """
        self.id = store_id
        configured = configured_directories(store_id, options)
        self._mode = configured_mode(store_id, options)
        self._mountpoints = read_mountpoints(store_id, options.filesystem_store_metadata_file)
        self._reserve = options.filesystem_store_reserve
        block = min(max(options.filesystem_store_chunk_size, _SMALLEST_BLOCK), _LARGEST_BLOCK)
        self._zeros = bytes(block) if options.filesystem_thin_provisioning else b""
        self._directories = tuple(
            DataDirectory(store_id, path, priority, partial(prepare, store_id, path, self._mode), reserve=self._reserve)
            for path, priority in configured
        )
        self._by_path = {directory.path: directory for directory in self._directories}
        self._elsewhere = {path: tuple(other for other in self._by_path if other != path) for path in self._by_path}
        self.url_prefixes = tuple(f"file://{path}/" for path in self._by_path)

    def probe(self) -> None:
        """:raises StoreUnavailable: a data directory is not mounted, or its file system does not work."""
        for directory in self._directories:
            directory.require_present()
            directory.free_bytes()

    def check_markers(self, recorded: Callable[[str], Sequence[str]]) -> None:
        for directory in self._directories:
            directory.check_marker(recorded)

    def writer(self, image_id: str, size: int | None, attempt: str) -> FilesystemWriter:
        if not (is_object_name(image_id) and is_attempt_name(attempt)):
            raise name_error(image_id)
        for directory in self._directories:
            directory.require_present()
            if os.path.lexists(f"{directory.path}/{image_id}"):
                raise duplicate(self.id, image_id)
        chosen = choose_directory(self.id, self._directories, size, thin=bool(self._zeros))
        target = self._target(chosen.path, image_id, attempt)
        try:
            fd = create_marked(target.unfinished, attempt)
        except FileExistsError as error:
            raise duplicate(self.id, image_id) from error
        except OSError as error:
            raise write_error(self.id, error) from error
        return ThinWriter(target, fd, self._zeros) if self._zeros else FilesystemWriter(target, fd)

    def reader(self, url: str, offset: int = 0, length: int | None = None) -> FilesystemReader:
        directory, path = self._locate(url)
        try:
            fd = os.open(path, OPEN_FLAGS)
        except OSError as error:
            raise self._not_read(directory, error) from error
        try:
            found = os.fstat(fd)
            self._require_file(found)
            return FilesystemReader(self.id, fd, offset, span_length(found.st_size, offset, length))
        except BaseException:
            os.close(fd)
            raise

    def size(self, url: str) -> int:
        return self._look(*self._locate(url)).st_size

    def delete(self, url: str) -> None:
        directory, path = self._locate(url)
        self._look(directory, path)
        try:
            os.unlink(path)
            sync_directory(directory.path)
        except OSError as error:
            raise delete_error(self.id, error) from error

    def check_delete(self, url: str) -> None:
        directory, path = self._locate(url)
        self._look(directory, path)
        try:
            check_unlink(path)
        except OSError as error:
            raise delete_error(self.id, error) from error

    def sweep(self, image_id: str, attempt: str, is_orphan: Callable[[str], bool] | None = None) -> bool:
        """Remove unfinished files first: from then on a writer of the attempt that is still alive cannot publish, and
        a file that it has published before is found in the second step. A final file with the mark of another attempt,
        or without a mark, is kept, unless the file system does not support marks and the file is an orphan.
        """
        check_names(image_id, attempt)
        for directory in self._directories:
            directory.require_present()
        removed: set[str] = set()
        try:
            for path in self._by_path:
                if _unlink_if_there(_UNFINISHED.format(path, image_id, attempt)):
                    removed.add(path)
            for path in self._by_path:
                if self._is_left(f"{path}/{image_id}", attempt, is_orphan) and _unlink_if_there(f"{path}/{image_id}"):
                    removed.add(path)
            for path in removed:
                sync_directory(path)
        except OSError as error:
            raise write_error(self.id, error) from error
        return bool(removed)

    def unfinished(self, image_id: str, attempt: str) -> FilesystemReader | None:
        check_names(image_id, attempt)
        for path in self._by_path:
            try:
                fd = os.open(_UNFINISHED.format(path, image_id, attempt), OPEN_FLAGS)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise open_error(self.id, error) from error
            return FilesystemReader(self.id, fd, 0, os.fstat(fd).st_size)
        return None

    def objects(self) -> Iterator[StoredObject]:
        for directory in self._directories:
            directory.require_present()
            try:
                with os.scandir(directory.path) as entries:
                    yield from filter(None, map(_listed, entries))
            except OSError as error:
                raise open_error(self.id, error) from error

    def close(self) -> None:
        """Nothing stays open between calls."""

    def _is_left(self, path: str, attempt: str, is_orphan: Callable[[str], bool] | None) -> bool:
        """Tell whether the final file ``path`` was left by a dead writer of ``attempt``."""
        try:
            own = is_of_attempt(path, attempt)
        except FileNotFoundError:
            return False
        if own is None:
            own = is_orphan is not None and is_orphan(f"file://{path}")
            if not own:
                LOG.warning("Store %s: %s is kept: the file system does not tell which upload wrote it", self.id, path)
        return own

    def _target(self, directory: str, image_id: str, attempt: str) -> Target:
        final = f"{directory}/{image_id}"
        return Target(
            store_id=self.id,
            image_id=image_id,
            attempt=attempt,
            directory=directory,
            unfinished=_UNFINISHED.format(directory, image_id, attempt),
            final=final,
            elsewhere=self._elsewhere[directory],
            mode=self._mode,
            reserve=self._reserve,
            metadata=self._location_metadata(final) if self._mountpoints else {},
        )

    def _location_metadata(self, path: str) -> dict[str, object]:
        entry = entry_above(self._mountpoints, path)
        if entry is None:
            LOG.error("Store %s: no mountpoint in its metadata file contains %s", self.id, path)
        return dict(entry or {})

    def _locate(self, url: str) -> tuple[DataDirectory, str]:
        """Return the directory and the path that a location refers to (store-formats 5.1).

        The path must refer to a visible name directly in a data directory. It may use another name of that directory,
        such as an operator's symbolic link, but not ``..``.

        :raises ForeignLocation: it refers to something else.
        """
        path = after_scheme(url, SCHEMES, self.id).partition("#")[0].partition("?")[0]
        parent, _, name = path.rpartition("/")
        if not is_object_name(name):
            raise foreign(self.id)
        directory = self._by_path.get(parent) or self._by_other_name(parent)
        return directory, f"{directory.path}/{name}"

    def _by_other_name(self, path: str) -> DataDirectory:
        if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
            raise foreign(self.id)
        resolved = os.path.realpath(path)
        for directory in self._directories:
            if os.path.realpath(directory.path) == resolved:
                return directory
        raise foreign(self.id)

    def _look(self, directory: DataDirectory, path: str) -> os.stat_result:
        try:
            found = os.lstat(path)
        except OSError as error:
            raise self._not_read(directory, error) from error
        self._require_file(found)
        return found

    def _require_file(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise foreign(self.id)

    def _not_read(self, directory: DataDirectory, error: OSError) -> GlimpseError:
        meaning = open_error(self.id, error)
        if isinstance(meaning, DataNotFound):
            # while its directory is absent, it is not known whether the file exists
            directory.require_present()
        return meaning


def _unlink_if_there(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _listed(entry: os.DirEntry[str]) -> StoredObject | None:
    """Return the object of an entry of a data directory, None if the entry is not an image file."""
    unfinished = _UNFINISHED_NAME.fullmatch(entry.name)
    if unfinished is None and not is_object_name(entry.name):
        return None
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    if unfinished is not None:
        image_id, attempt = unfinished.groups()
        return StoredObject(image_id=image_id, size=found.st_size, modified_at=found.st_mtime, attempt=attempt)
    return StoredObject(image_id=entry.name, size=found.st_size, modified_at=found.st_mtime, url=f"file://{entry.path}")
