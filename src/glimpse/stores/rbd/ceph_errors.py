"""Mapping of errors of Ceph's libraries to the errors of a store (store-formats 4).

Both libraries raise errors with a number of ``errno``; completions of asynchronous calls have the negative number.
"""

from __future__ import annotations

import errno
import os

from glimpse.errors import (
    AccessDenied,
    DataInUse,
    DeletionDenied,
    ForeignLocation,
    GlimpseError,
    StoreUnavailable,
)
from glimpse.stores.object_errors import aborted, foreign, full, missing

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED = frozenset({errno.EACCES, errno.EPERM})
#: The connection is of no use any more: the cluster has excluded this client, or it is shut down.
LOST = frozenset({errno.ESHUTDOWN, errno.ENOTCONN})


def number_of(error: Exception) -> int:
    """Return the errno of an error of the libraries; 0 if it has no errno."""
    number = getattr(error, "errno", None)
    return abs(number) if isinstance(number, int) else 0


def of_another_cluster(store_id: str) -> ForeignLocation:
    """Return the error for a location of another cluster."""
    return foreign(store_id, "it is in another Ceph cluster")


def in_use(store_id: str) -> DataInUse:
    """Return the error for an image that has clones, or that a client has opened for writing."""
    return DataInUse(f"The data in store {store_id} are in use: they have clones, or a client has opened the image.")


def connect_error(store_id: str, number: int) -> GlimpseError:
    """Return the error for a failure of connecting."""
    if number in _REFUSED or number == errno.ENOENT:
        # ENOENT: no key of the user was found
        return AccessDenied(f"The Ceph cluster refuses the user of store {store_id}, or its key is missing.")
    return StoreUnavailable(f"Store {store_id} cannot connect to its Ceph cluster: {_reason(number)}.")


def pool_error(store_id: str, number: int) -> GlimpseError:
    """Return the error for a pool that cannot be opened."""
    if number == errno.ENOENT:
        return StoreUnavailable(f"A pool of store {store_id} does not exist.")
    return read_error(store_id, number)


def write_error(store_id: str, number: int) -> GlimpseError:
    """Return the error for a failure of creating, writing or committing."""
    if number in _FULL:
        return full(store_id)
    if number in _REFUSED:
        return AccessDenied(f"Store {store_id} cannot be written: {_reason(number)}.")
    if number == errno.ENOENT:
        return aborted(store_id)
    return StoreUnavailable(f"Store {store_id} cannot be written now: {_reason(number)}.")


def open_error(store_id: str, number: int) -> GlimpseError:
    """Return the error for a failure of opening an image."""
    return missing(store_id) if number == errno.ENOENT else read_error(store_id, number)


def read_error(store_id: str, number: int) -> GlimpseError:
    """Return the error for a failure of reading, listing or asking."""
    if number in _REFUSED:
        return AccessDenied(f"Store {store_id} cannot be read: {_reason(number)}.")
    return StoreUnavailable(f"Store {store_id} cannot be read now: {_reason(number)}.")


def delete_error(store_id: str, number: int) -> GlimpseError:
    """Return the error for a failure of deleting."""
    if number == errno.ENOENT:
        return missing(store_id)
    if number == errno.EBUSY:
        return in_use(store_id)
    if number in _REFUSED:
        return DeletionDenied(f"Store {store_id} does not allow the deletion: {_reason(number)}.")
    return StoreUnavailable(f"Store {store_id} cannot delete now: {_reason(number)}.")


def _reason(number: int) -> str:
    return os.strerror(number) if number else "unknown reason"
