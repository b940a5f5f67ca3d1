"""The HTTP status of each domain error, and refusals that exist only in HTTP."""

from __future__ import annotations

from glimpse import errors

STATUS: dict[type[errors.GlimpseError], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.BodyTimeout: 408,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.LimitExceeded: 413,
    errors.TooManyAttempts: 429,
    errors.UnsupportedContent: 415,
    errors.RangeNotSatisfiable: 416,
    errors.Refused: 503,
    errors.Unavailable: 503,
    errors.NodeFailed: 502,
    errors.NodeUnreachable: 504,
}


class Refusal(Exception):
    """A request refused by the HTTP layer itself, with the status and extra headers of the response."""

    def __init__(self, status: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def status_of(error: errors.GlimpseError) -> int:
    """Return the HTTP status of a domain error: its own, else that of its nearest base class in the table."""
    for kind in type(error).__mro__:
        status = STATUS.get(kind)
        if status is not None:
            return status
    return 500
