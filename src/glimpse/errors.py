"""The typed errors of all layers below ``api/``.

    GlimpseError
    ├── Invalid                 the request is invalid and would fail again
    │   ├── SizeMismatch          more or fewer bytes than announced
    │   ├── BodyIncomplete        the client disconnected before the end of the body
    │   └── MarkerUnknown         the paging marker does not refer to an image
    ├── Unauthenticated         no valid credentials
    ├── TooManyAttempts         too many failed logins: passwords are not checked for a while
    ├── Forbidden               the caller is known, the operation is not allowed
    ├── NotFound                does not exist, or must look so to the caller
    │   └── DataNotFound          the store has no data at a location
    ├── Conflict                the state of the resource does not allow the operation
    │   └── Duplicate             a resource with the same identity already exists
    ├── Gone                    the image was deleted during a data transfer
    │   └── LeaseLost             another process took over the operation
    ├── Refused                 a store refuses permanently: no retries
    │   ├── AccessDenied          the service may not read or write
    │   ├── DeletionDenied        (also Forbidden) the service may not delete
    │   ├── DataInUse             (also Conflict) something depends on the data
    │   ├── ForeignLocation       (also Invalid) the location does not belong to the store
    │   └── StoreReadOnly         (also Gone) the store is read-only
    ├── LimitExceeded           a quota or a size limit is reached
    │   └── StoreFull             no space left in the store
    ├── UnsupportedContent      unsupported media type, or data that inspection refused
    ├── RangeNotSatisfiable     a byte range outside the data
    ├── BodyTimeout             the body did not arrive in time
    └── Unavailable             a service that is needed is not available
        ├── NodeUnreachable       another node of the service does not answer
        ├── NodeFailed            another node of the service gives no usable answer
        ├── Busy                  too many operations are running; retry soon
        ├── StoreUnavailable      the store cannot be read or written now
        │   ├── StoreBusy           (also Busy) the store has reached its limit of open streams
        │   └── DataIncomplete      reading failed after part of the data had been sent
        └── DatabaseUnavailable

Store errors are permanent or temporary, and callers decide by that: after ``Refused`` the operation is over, after
``StoreUnavailable`` it may be retried, on the same copy or another one. ``DataNotFound``, ``Duplicate``, ``StoreFull``
and ``RangeNotSatisfiable`` are neither: they are results.

Only ``api/errors.py`` maps these errors to HTTP statuses. A message is a sentence for the user, built from fields. It
never contains secrets or paths of the host.
"""


class GlimpseError(Exception):
    """Base of all errors that users may see; ``str(error)`` is the message for the user."""


class Invalid(GlimpseError):
    """The request is invalid (HTTP 400)."""


class SizeMismatch(Invalid):
    """The number of bytes received differs from the number announced."""

    def __init__(self, announced: int, received: int) -> None:
        """``announced`` and ``received`` in bytes."""
        super().__init__(f"The announced size is {announced} bytes, but {received} bytes were received.")
        self.announced = announced
        self.received = received


class BodyIncomplete(Invalid):
    """The client disconnected before the end of the body."""

    def __init__(self, received: int) -> None:
        """``received`` in bytes."""
        super().__init__(f"The connection ended after {received} bytes, before the end of the body.")
        self.received = received


class MarkerUnknown(Invalid):
    """The paging marker does not refer to an image."""


class Unauthenticated(GlimpseError):
    """The request has no valid credentials (HTTP 401)."""


class TooManyAttempts(GlimpseError):
    """Too many failed logins: this attempt was not checked (HTTP 429 with Retry-After)."""

    def __init__(self, message: str, retry_after: float) -> None:
        """``retry_after`` in seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class Forbidden(GlimpseError):
    """The caller is known and may not do this (HTTP 403)."""


class NotFound(GlimpseError):
    """The resource does not exist, or must look so to this caller (HTTP 404)."""


def no_such_image(image_id: str) -> NotFound:
    """Build the error for an image that does not exist, or is hidden from the caller; both are the same."""
    return NotFound(f"No image found with ID {image_id}")


class DataNotFound(NotFound):
    """The store has no data at the location."""


class Conflict(GlimpseError):
    """The state of the resource does not allow the operation (HTTP 409)."""


class Duplicate(Conflict):
    """A resource with the same identity already exists."""


class Gone(GlimpseError):
    """The image was deleted during a data transfer, or the store is read-only (HTTP 410)."""


class LeaseLost(Gone):
    """Another process took over the operation, because this one did not renew its lease in time."""


class Refused(GlimpseError):
    """A store refuses an operation permanently (HTTP 503 unless the error is also of another class)."""


class AccessDenied(Refused):
    """The store, its file system or its server does not let the service read or write."""


class DeletionDenied(Forbidden, Refused):
    """The store does not let the service delete the data."""


class DataInUse(Conflict, Refused):
    """The store refuses to delete the data because something depends on them."""


class ForeignLocation(Invalid, Refused):
    """The location does not belong to this store."""


class StoreReadOnly(Gone, Refused):
    """The store is read-only."""


class LimitExceeded(GlimpseError):
    """A quota or a size limit is reached (HTTP 413)."""


class StoreFull(LimitExceeded):
    """The store has no space left for the data."""


class UnsupportedContent(GlimpseError):
    """The media type is not accepted, or inspection refused the data (HTTP 415)."""


class RangeNotSatisfiable(GlimpseError):
    """The byte range is outside the data, or is malformed (HTTP 416)."""

    def __init__(self, message: str, size: int | None = None) -> None:
        """``size`` is the size of the whole data in bytes, if known."""
        super().__init__(message)
        self.size = size


class BodyTimeout(GlimpseError):
    """The body did not arrive in time (HTTP 408)."""


class Unavailable(GlimpseError):
    """A service that the request needs is not available (HTTP 503)."""


class NodeUnreachable(Unavailable):
    """Another node of the service, which has to do the work, does not answer (HTTP 504)."""


class NodeFailed(Unavailable):
    """Another node of the service, which has to do the work, gives no usable answer (HTTP 502)."""


class Busy(Unavailable):
    """Too many operations of this kind are running or waiting (HTTP 503 with ``Retry-After``)."""

    def __init__(self, message: str, retry_seconds: int) -> None:
        """``retry_seconds``: time to wait before trying again."""
        super().__init__(message)
        self.retry_seconds = retry_seconds


class StoreUnavailable(Unavailable):
    """The store cannot be read or written now; it may work later."""


class StoreBusy(Busy, StoreUnavailable):
    """The store has reached its limit of open streams."""


class DataIncomplete(StoreUnavailable):
    """Reading data from a store failed after part of them had been sent."""

    def __init__(self, reason: str, sent: int) -> None:
        """``sent`` in bytes."""
        super().__init__(reason)
        self.sent = sent


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or refuses writes."""
