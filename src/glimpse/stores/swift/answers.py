"""Statuses of Swift as typed errors (store-formats 4 and 7.6)."""

from __future__ import annotations

from glimpse.errors import AccessDenied, DeletionDenied, GlimpseError, StoreUnavailable
from glimpse.stores import object_errors
from glimpse.stores.connections import Answer, ConnectionFailed, Stream

#: Statuses of a server that may answer otherwise soon: Request Timeout, Conflict, Too Early, Too Many Requests (and the
#: one that Swift's rate limit uses).
_PASSING = frozenset({408, 409, 425, 429, 498})
#: Statuses of quotas and full disks.
_FULL = frozenset({413, 507})


def passes(status: int) -> bool:
    """Tell whether the same request may succeed soon."""
    return status in _PASSING or (status >= 500 and status not in _FULL)


def failure(store_id: str, answer: Answer | Stream, *, deleting: bool = False) -> GlimpseError:
    """Return the error for an answer that is not a success."""
    status = answer.status
    if status == 404:
        return object_errors.missing(store_id)
    if status in _FULL:
        return object_errors.full(store_id)
    if passes(status):
        return StoreUnavailable(f"Store {store_id} is not working: Swift answers {status}.")
    kind = DeletionDenied if deleting and status in {401, 403} else AccessDenied
    return kind(f"Store {store_id} refuses the request: Swift answers {status}.")


def unreachable(store_id: str, error: ConnectionFailed, server: str = "Swift") -> StoreUnavailable:
    """Return the error for a request without an answer."""
    return StoreUnavailable(f"Store {store_id} is not working: {server} cannot be used, {error}.")
