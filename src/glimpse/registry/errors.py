"""Errors on the wire: every class of ``glimpse.errors`` arrives as itself, with its text and its fields.

An error is a msgpack map ``{code, message, fields}``. ``code`` is the path of classes below ``GlimpseError``, for
instance ``Gone.LeaseLost``, so that a receiver that does not know the last one takes the one before. The class fixes
the status.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import msgspec

from glimpse import errors as tree
from glimpse.errors import DatabaseUnavailable, Forbidden, GlimpseError
from glimpse.registry.codec import Codec, shape_of


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


_CODEC = Codec(shape_of(_Error))


def _classes() -> Iterator[type[GlimpseError]]:
    known = (*vars(tree).values(), *STATUSES)
    return (each for each in known if isinstance(each, type) and issubclass(each, GlimpseError))


def _code(kind: type[GlimpseError]) -> str:
    """The path of known classes from the root to ``kind``; of a class that is not known, that to its nearest base."""
    path = [each.__name__ for each in kind.__mro__ if each in KNOWN and each is not GlimpseError]
    return ".".join(reversed(path)) or GlimpseError.__name__


def _fields(kind: type[GlimpseError]) -> frozenset[str]:
    """Names of the attributes that an error has besides its text: the arguments of a constructor of its own."""
    constructor: object = kind.__init__
    if not inspect.isfunction(constructor):
        return frozenset()
    return frozenset(inspect.signature(constructor).parameters) - {"self", "message", "reason"}


KNOWN: frozenset[type[GlimpseError]] = frozenset(_classes())
_BY_NAME = {kind.__name__: kind for kind in KNOWN}
_FIELDS = {kind: _fields(kind) for kind in KNOWN}


def encode(error: GlimpseError) -> tuple[int, bytes]:
    """Status and body of the answer that carries an error."""
    kind = next(each for each in type(error).__mro__ if each in KNOWN)
    fields = {name: value for name, value in vars(error).items() if name in _FIELDS[kind]}
    status = next((STATUSES[each] for each in kind.__mro__ if each in STATUSES), ORDINARY)
    return status, _CODEC.encode(_Error(code=_code(kind), message=str(error), fields=fields))


def encode_defect() -> tuple[int, bytes]:
    """Status and body of the answer to a call that hit a defect of the server; they say nothing about it."""
    return DEFECT, _CODEC.encode(_Error(code=RegistryDefect.__name__, message="The registry failed; see its log."))


def decode(status: int, body: bytes) -> GlimpseError:
    """The error that an answer carries; one about the database where it is no answer of a registry.

    :raises RegistryDefect: the server says that it failed.
    """
    if status == DEFECT:
        raise RegistryDefect("The registry failed; see its log.")
    try:
        found: _Error = _CODEC.decode(body)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return DatabaseUnavailable(f"The registry answered {status}, and with nothing that can be understood.")
    named = (_BY_NAME.get(name) for name in reversed(found.code.split(".")))
    kind = next((each for each in named if each is not None), GlimpseError)
    error = kind.__new__(kind, found.message)
    vars(error).update({name: found.fields.get(name) for name in _FIELDS[kind]})
    return error
