"""Mapping of file system ``OSError`` to the errors of a store (store-formats 4).

The messages contain no path; the ``OSError``, which does, is attached as the cause and logged.
"""

from __future__ import annotations

import errno
import os

from glimpse.errors import AccessDenied, DeletionDenied, GlimpseError, StoreFull, StoreUnavailable
from glimpse.stores.object_errors import foreign, full, missing

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def write_error(store_id: str, error: OSError) -> GlimpseError:
    """Return the error for a failure of creating, writing or committing."""
    if error.errno in _FULL:
        return full(store_id)
    if error.errno == errno.EFBIG:
        return StoreFull(f"Store {store_id} cannot hold an object of this size.")
    if error.errno == errno.ENOENT:
        return StoreUnavailable(f"The upload to store {store_id} was aborted meanwhile, or its directory disappeared.")
    if error.errno in _REFUSED:
        return AccessDenied(f"Store {store_id} cannot be written: {_reason(error)}.")
    return StoreUnavailable(f"Store {store_id} cannot be written now: {_reason(error)}.")


def open_error(store_id: str, error: OSError) -> GlimpseError:
    """Return the error for a failure of stat or open."""
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return missing(store_id)
    if error.errno == errno.ELOOP:
        return foreign(store_id)
    if error.errno in _REFUSED:
        return AccessDenied(f"Store {store_id} cannot be read: {_reason(error)}.")
    return read_error(store_id, error)


def read_error(store_id: str, error: OSError) -> StoreUnavailable:
    """Return the error for a failure of reading an open object, which is always temporary: it was readable."""
    return StoreUnavailable(f"Store {store_id} cannot be read now: {_reason(error)}.")


def delete_error(store_id: str, error: OSError) -> GlimpseError:
    """Return the error for a failure of deleting."""
    if error.errno == errno.ENOENT:
        return missing(store_id)
    if error.errno in _REFUSED:
        return DeletionDenied(f"Store {store_id} does not allow the deletion: {_reason(error)}.")
    return StoreUnavailable(f"Store {store_id} cannot delete now: {_reason(error)}.")


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else "unknown reason"
