"""The start of a filesystem store: reading, checking and preparing data directories (store-formats 5.3 and 5.5).

This includes the metadata file, which describes the shared file system in locations (5.4), and the marker, a file in
each directory that distinguishes one that is not mounted from one that is empty. The marker is written when a service
starts with the directory for the first time. If a directory has neither a marker nor any of the recorded images, it is
considered not mounted, and no marker is written.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import msgspec

from glimpse.errors import StoreUnavailable
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.filesystem.options import FilesystemOptions

LOG = logging.getLogger(__name__)

#: Failures of a full file system, which can still be read.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: Failures of a file system or its server that is down, as opposed to misconfigured.
_DOWN = frozenset(
    {
        errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN,
        errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH,
        errno.ECONNREFUSED, errno.ECONNABORTED, errno.ECONNRESET,
    }
)  # fmt: skip


class Prepared(msgspec.Struct, frozen=True):
    """A usable directory: ``identity`` is its device and inode."""

    identity: tuple[int, int]
    mount_point: str


def configured_directories(store_id: str, options: FilesystemOptions) -> tuple[tuple[str, int], ...]:
    """Return paths and priorities of the data directories in ``options``, highest priority first.

    :raises StoreMisconfigured: neither or both options are set, a path is not absolute, or has two priorities.
    """
    single, several = options.filesystem_store_datadir.strip(), options.filesystem_store_datadirs
    if bool(single) == bool(several):
        reason = "set either filesystem_store_datadir or filesystem_store_datadirs, and leave the other empty"
        raise StoreMisconfigured(store_id, reason)
    priorities: dict[str, int] = {}
    for path, priority in [(single, 0)] if single else [_parse(store_id, line) for line in several]:
        clean = _clean(store_id, path)
        if priorities.get(clean, priority) != priority:
            raise StoreMisconfigured(store_id, f"data directory {clean} has two priorities")
        if clean in priorities:
            LOG.warning("Store %s: data directory %s is configured twice", store_id, clean)
        priorities[clean] = priority
    return tuple(sorted(priorities.items(), key=lambda item: -item[1]))


def url_prefixes(store_id: str, options: FilesystemOptions) -> tuple[str, ...]:
    """See :class:`glimpse.stores.base.Prefixed`.

    :raises StoreMisconfigured: see :func:`configured_directories`.
    """
    return tuple(f"file://{path}/" for path, _ in configured_directories(store_id, options))


def configured_mode(store_id: str, options: FilesystemOptions) -> int:
    """Return ``filesystem_store_file_perm``, with its decimal digits read as octal; 0 sets no mode.

    :raises StoreMisconfigured: the digits are not octal, or not valid permissions for image files.
    """
    digits = options.filesystem_store_file_perm
    try:
        mode = int(str(digits), 8)
    except ValueError as error:
        raise StoreMisconfigured(store_id, f"filesystem_store_file_perm {digits} is not octal") from error
    if mode and not (mode & stat.S_IRUSR and mode <= 0o777):
        reason = f"filesystem_store_file_perm {digits} must let the owner read, and be at most 777"
        raise StoreMisconfigured(store_id, reason)
    return mode


def prepare(store_id: str, path: str, mode: int) -> Prepared:
    """Create the directory ``path``, make it searchable for everyone who may read files of ``mode``, and try to write.

    A read-only or full file system is accepted, with a warning.

    :raises StoreMisconfigured: the directory cannot be used.
    :raises StoreUnavailable: its file system is unavailable.
    """
    try:
        os.makedirs(path, exist_ok=True)
        _let_pass(path, mode)
        _try_to_write(store_id, path)
        found = os.stat(path)
    except OSError as error:
        if error.errno in _DOWN:
            raise StoreUnavailable(f"A data directory of store {store_id} does not work: {error.strerror}.") from error
        raise StoreMisconfigured(store_id, f"data directory {path} cannot be used: {error.strerror}") from error
    return Prepared((found.st_dev, found.st_ino), _mount_point(path))


def _try_to_write(store_id: str, path: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        if error.errno != errno.EROFS and error.errno not in _FULL:
            raise
        state = "read-only" if error.errno == errno.EROFS else "full"
        LOG.warning("Store %s: %s is %s: images are read there, and uploads are refused", store_id, path, state)


def _parse(store_id: str, line: str) -> tuple[str, int]:
    path, colon, priority = line.strip().partition(":")
    if not colon:
        return path, 0
    try:
        return path.rstrip(), int(priority)
    except ValueError as error:
        raise StoreMisconfigured(store_id, f"filesystem_store_datadirs: {line!r} is not path:priority") from error


def _clean(store_id: str, path: str) -> str:
    """Return ``path`` as used in the URIs of the store, which cannot contain every path (store-formats 5.1)."""
    if not path.startswith("/") or ".." in path.split("/") or {"?", "#", "\0"} & set(path):
        raise StoreMisconfigured(store_id, f"data directory {path!r} must be an absolute path without .., ? and #")
    return "/" + os.path.normpath(path).lstrip("/")


def _let_pass(path: str, mode: int) -> None:
    wanted = (stat.S_IXGRP if mode & stat.S_IRWXG else 0) | (stat.S_IXOTH if mode & stat.S_IRWXO else 0)
    present = stat.S_IMODE(os.stat(path).st_mode)
    if wanted & ~present:
        os.chmod(path, present | wanted)


def _mount_point(path: str) -> str:
    resolved = Path(os.path.realpath(path))
    return str(next(place for place in (resolved, *resolved.parents) if os.path.ismount(place)))


def details(options: FilesystemOptions) -> dict[str, object]:
    """Return what store discovery shows to administrators (imports-and-stores 1.4).

    Directory, chunk size in bytes, thin provisioning; with several directories, the one with the highest priority.
    """
    return {
        "data_dir": configured_directories("", options)[0][0],
        "chunk_size": options.filesystem_store_chunk_size,
        "thin_provisioning": options.filesystem_thin_provisioning,
    }


Entry = dict[str, Any]
_FORM = Entry | list[Entry]


def read_mountpoints(store_id: str, path: str | None) -> tuple[Entry, ...]:
    """Return the entries of the metadata file at ``path``; empty without a path.

    :raises StoreMisconfigured: it cannot be read, or does not have the format of store-formats 5.4.
    """
    if not path:
        return ()
    try:
        content: object = msgspec.json.decode(Path(path).read_bytes(), type=_FORM)
    except OSError as error:
        raise StoreMisconfigured(store_id, f"metadata file {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreMisconfigured(store_id, f"metadata file {path}: {error}") from error
    entries = cast(list[Entry], content if isinstance(content, list) else [content])
    for entry in entries:
        if not (isinstance(entry.get("id"), str) and isinstance(entry.get("mountpoint"), str)):
            raise StoreMisconfigured(store_id, f"metadata file {path}: each object needs strings id and mountpoint")
    return tuple(entries)


def entry_above(entries: tuple[Entry, ...], path: str) -> Entry | None:
    """Return the first entry whose mount point is a parent directory of ``path``."""
    for entry in entries:
        if path.startswith(entry["mountpoint"].rstrip("/") + "/"):
            return entry
    return None


#: No location can name it.
MARKER = ".glimpse-store"

_TEXT = b"This directory has images of a Glimpse store. Without this file the store considers it not mounted.\n"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def expects_marker(store_id: str, directory: str, recorded: Iterable[str]) -> bool:
    """Check the marker of a directory at start, and write it if it should exist.

    ``recorded`` are paths of images that should be in the directory; it is iterated only if there is no marker.
    Return whether the directory may be used only with a marker.
    """
    if os.path.lexists(f"{directory}/{MARKER}"):
        return True
    known = list(recorded)
    if known and not any(os.path.lexists(path) for path in known):
        LOG.error(
            "Store %s: the directory %s has neither the file %s nor any of %d images recorded there, so it is not "
            "used. Mount its file system; if this is the right directory, create that file.",
            store_id, directory, MARKER, len(known),
        )  # fmt: skip
        return True
    try:
        with contextlib.suppress(FileExistsError):  # another worker was first
            fd = os.open(f"{directory}/{MARKER}", _CREATE, 0o644)
            try:
                os.write(fd, _TEXT)
                os.fsync(fd)
            finally:
                os.close(fd)
    except OSError as error:
        LOG.warning("Store %s: the file %s cannot be written in %s: %s", store_id, MARKER, directory, error.strerror)
        return False
    return True
