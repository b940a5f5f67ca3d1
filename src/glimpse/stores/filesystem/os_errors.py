"""What an ``OSError`` of the file system means to the user of a store (store-formats 4).

The messages carry no path; the ``OSError``, which does, stays attached as the cause and goes to the log.
"""

from __future__ import annotations

import errno
import os

from glimpse.errors import (
    AccessDenied,
    DataNotFound,
    DeletionDenied,
    Duplicate,
    ForeignLocation,
    GlimpseError,
    StoreFull,
    StoreUnavailable,
)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def duplicate(store_id: str, image_id: str) -> Duplicate:
    """An object of the image exists."""
    return Duplicate(f"Store {store_id} already has data of image {image_id}.")


def missing(store_id: str) -> DataNotFound:
    """There is no object."""
    return DataNotFound(f"Store {store_id} has no data at the location.")


def foreign(store_id: str) -> ForeignLocation:
    """The location is not one that this store could have written."""
    return ForeignLocation(f"The location is not one of store {store_id}.")


def full(store_id: str) -> StoreFull:
    """The data do not fit, or only into the reserve."""
    return StoreFull(f"Store {store_id} has no space left for the data.")


def write_error(store_id: str, error: OSError) -> GlimpseError:
    """Of creating, writing or committing."""
    if error.errno in _FULL:
        return full(store_id)
    if error.errno == errno.EFBIG:
        return StoreFull(f"Store {store_id} cannot hold an object of this size.")
    if error.errno == errno.ENOENT:
        return StoreUnavailable(f"Store {store_id} gave the upload up meanwhile, or its directory went away.")
    if error.errno in _REFUSED:
        return AccessDenied(f"Store {store_id} cannot be written: {_reason(error)}.")
    return StoreUnavailable(f"Store {store_id} cannot be written now: {_reason(error)}.")


def open_error(store_id: str, error: OSError) -> GlimpseError:
    """Of looking at an object or opening it."""
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return missing(store_id)
    if error.errno == errno.ELOOP:
        return foreign(store_id)
    if error.errno in _REFUSED:
        return AccessDenied(f"Store {store_id} cannot be read: {_reason(error)}.")
    return read_error(store_id, error)


def read_error(store_id: str, error: OSError) -> StoreUnavailable:
    """Of reading an object that is open: it was readable, so any failure passes."""
    return StoreUnavailable(f"Store {store_id} cannot be read now: {_reason(error)}.")


def delete_error(store_id: str, error: OSError) -> GlimpseError:
    """Of removing an object."""
    if error.errno == errno.ENOENT:
        return missing(store_id)
    if error.errno in _REFUSED:
        return DeletionDenied(f"Store {store_id} does not allow the deletion: {_reason(error)}.")
    return StoreUnavailable(f"Store {store_id} cannot delete now: {_reason(error)}.")


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else "unknown reason"
