"""Errors on the wire: every class of ``glimpse.errors`` arrives as itself, with its text and its fields.

An error is a msgpack map ``{code, message, fields}``. ``code`` is one of :data:`CODES`. It begins with the code of the
more general error, as in ``gone.lease_lost``, so a receiver that does not know the last part takes what comes before.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import msgspec

from glimpse import errors as tree
from glimpse.errors import DatabaseUnavailable, Forbidden, GlimpseError
from glimpse.registry.codec import Codec, conversion_of


class UnknownMethod(DatabaseUnavailable):
    """The server has no such method, or not with these arguments: it is older than the client."""


class VersionRefused(DatabaseUnavailable):
    """Client and server are too far apart, see :func:`glimpse.registry.wire.version_refusal`."""


class DeadlinePassed(DatabaseUnavailable):
    """The deadline of the call had passed before the work was begun."""


class NotProcessed(DatabaseUnavailable):
    """The server takes no work now, because it stops or has too much; nothing was done."""


class RoleRefused(Forbidden):
    """The role of the client's certificate does not allow this method, or the certificate has no role."""


class RegistryDefect(Exception):
    """The server failed in a way that no error describes; its log has the cause. Not an error for users."""


#: The code of each error on the wire: part of the protocol, so codes never change, whatever becomes of the classes.
CODES: Mapping[type[GlimpseError], str] = {
    GlimpseError: "error",
    tree.Invalid: "invalid",
    tree.SizeMismatch: "invalid.size_mismatch",
    tree.BodyIncomplete: "invalid.body_incomplete",
    tree.MarkerUnknown: "invalid.marker_unknown",
    tree.Unauthenticated: "unauthenticated",
    tree.TooManyAttempts: "too_many_attempts",
    Forbidden: "forbidden",
    RoleRefused: "forbidden.role_refused",
    tree.NotFound: "not_found",
    tree.DataNotFound: "not_found.data_not_found",
    tree.Conflict: "conflict",
    tree.Duplicate: "conflict.duplicate",
    tree.DataInUse: "conflict.data_in_use",
    tree.Gone: "gone",
    tree.LeaseLost: "gone.lease_lost",
    tree.Refused: "refused",
    tree.AccessDenied: "refused.access_denied",
    tree.DeletionDenied: "forbidden.deletion_denied",
    tree.ForeignLocation: "invalid.foreign_location",
    tree.StoreReadOnly: "gone.store_read_only",
    tree.LimitExceeded: "limit_exceeded",
    tree.StoreFull: "limit_exceeded.store_full",
    tree.UnsupportedContent: "unsupported_content",
    tree.RangeNotSatisfiable: "range_not_satisfiable",
    tree.BodyTimeout: "body_timeout",
    tree.Unavailable: "unavailable",
    tree.NodeUnreachable: "unavailable.node_unreachable",
    tree.NodeFailed: "unavailable.node_failed",
    tree.Busy: "unavailable.busy",
    tree.StoreUnavailable: "unavailable.store",
    tree.StoreBusy: "unavailable.busy.store",
    tree.DataIncomplete: "unavailable.store.data_incomplete",
    DatabaseUnavailable: "unavailable.database",
    UnknownMethod: "unavailable.database.unknown_method",
    VersionRefused: "unavailable.database.version_refused",
    DeadlinePassed: "unavailable.database.deadline_passed",
    NotProcessed: "unavailable.database.not_processed",
}
DEFECT_CODE = "defect"

#: Statuses other than that of ordinary errors; the nearest class counts.
ORDINARY = 422
DEFECT = 500
STATUSES: dict[type[GlimpseError], int] = {
    RoleRefused: 403,
    UnknownMethod: 404,
    VersionRefused: 426,
    NotProcessed: 503,
    DeadlinePassed: 504,
}

Field = str | int | float | bool | None


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str
    fields: dict[str, Field] = {}


_CODEC = Codec(conversion_of(_Error))


def _fields(kind: type[GlimpseError]) -> frozenset[str]:
    """Names of the attributes that an error has besides its text: the arguments of a constructor of its own."""
    constructor: object = kind.__init__
    if not inspect.isfunction(constructor):
        return frozenset()
    return frozenset(inspect.signature(constructor).parameters) - {"self", "message", "reason"}


_BY_CODE = {code: kind for kind, code in CODES.items()}
_FIELDS = {kind: _fields(kind) for kind in CODES}


def encode(error: GlimpseError) -> tuple[int, bytes]:
    """Status and body of the answer that carries an error; one without a code goes as the nearest that has one."""
    kind = next(each for each in type(error).__mro__ if each in CODES)
    fields = {name: value for name, value in vars(error).items() if name in _FIELDS[kind]}
    status = next((STATUSES[each] for each in kind.__mro__ if each in STATUSES), ORDINARY)
    return status, _CODEC.encode(_Error(code=CODES[kind], message=str(error), fields=fields))


def encode_defect() -> tuple[int, bytes]:
    """Status and body of the answer to a call that hit a defect of the server; they say nothing about it."""
    return DEFECT, _CODEC.encode(_Error(code=DEFECT_CODE, message="The registry failed; see its log."))


def decode(status: int, body: bytes) -> GlimpseError:
    """The error that an answer carries; one about the database where it is no answer of a registry.

    :raises RegistryDefect: the server says that it failed.
    """
    if status == DEFECT:
        raise RegistryDefect("The registry failed; see its log.")
    try:
        found: _Error = _CODEC.decode(body)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return DatabaseUnavailable(f"The registry answered {status} with a response that cannot be decoded.")
    code = found.code
    while code and code not in _BY_CODE:
        code = code.rpartition(".")[0]
    kind = _BY_CODE.get(code, GlimpseError)
    error = kind.__new__(kind, found.message)
    vars(error).update({name: found.fields.get(name) for name in _FIELDS[kind]})
    return error
