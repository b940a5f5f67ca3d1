"""The data directories of the configuration: read, checked and prepared at start (store-formats 5.3 and 5.5)."""

from __future__ import annotations

import errno
import logging
import os
import stat
import tempfile
from pathlib import Path

import msgspec

from glimpse.stores.errors import StoreMisconfigured
from glimpse.stores.filesystem.options import FilesystemOptions

LOG = logging.getLogger(__name__)


class Prepared(msgspec.Struct, frozen=True):
    """A directory that can be used, and what it was at the start: ``identity`` is its device and inode."""

    path: str
    priority: int
    identity: tuple[int, int]
    mount_point: str


def configured_directories(store_id: str, options: FilesystemOptions) -> tuple[tuple[str, int], ...]:
    """Paths and priorities of the data directories that ``options`` name, highest priority first.

    :raises StoreMisconfigured: none or both options are set, a path is not absolute, or has two priorities.
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


def configured_mode(store_id: str, options: FilesystemOptions) -> int:
    """``filesystem_store_file_perm``, whose decimal digits are to be read as octal ones; 0 sets no mode.

    :raises StoreMisconfigured: they are not octal, or no permissions that image files can have.
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


def prepare(store_id: str, path: str, priority: int, mode: int) -> Prepared:
    """Create the directory ``path``, let those pass through that may read files of ``mode``, and try to write.

    :raises StoreMisconfigured: one of it is not possible. A read-only file system is taken as it is.
    """
    try:
        os.makedirs(path, exist_ok=True)
        _let_pass(path, mode)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        if error.errno == errno.EROFS and os.path.isdir(path):
            LOG.warning("Store %s: %s is read-only: images are read there, and uploads are refused", store_id, path)
        else:
            raise StoreMisconfigured(store_id, f"data directory {path} cannot be used: {error.strerror}") from error
    found = os.stat(path)
    return Prepared(path, priority, (found.st_dev, found.st_ino), _mount_point(path))


def _parse(store_id: str, line: str) -> tuple[str, int]:
    path, colon, priority = line.strip().partition(":")
    if not colon:
        return path, 0
    try:
        return path.rstrip(), int(priority)
    except ValueError as error:
        raise StoreMisconfigured(store_id, f"filesystem_store_datadirs: {line!r} is not path:priority") from error


def _clean(store_id: str, path: str) -> str:
    """``path`` as it begins the URIs of the store, which cannot express everything (store-formats 5.1)."""
    if not path.startswith("/") or ".." in path.split("/") or {"?", "#", "\0"} & set(path):
        raise StoreMisconfigured(store_id, f"data directory {path!r} must be an absolute path without .., ? and #")
    return "/" + os.path.normpath(path).lstrip("/")


def _let_pass(path: str, mode: int) -> None:
    wanted = (stat.S_IXGRP if mode & stat.S_IRWXG else 0) | (stat.S_IXOTH if mode & stat.S_IRWXO else 0)
    present = stat.S_IMODE(os.stat(path).st_mode)
    if wanted & ~present:
        os.chmod(path, present | wanted)


def _mount_point(path: str) -> str:
    resolved = Path(path).resolve()
    return str(next(place for place in (resolved, *resolved.parents) if place.is_mount()))
