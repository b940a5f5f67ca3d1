"""Errors arrive unchanged at the client of the registry."""

from __future__ import annotations

import msgspec
import pytest

from glimpse import errors as tree
from glimpse.errors import (
    AccessDenied,
    BodyIncomplete,
    BodyTimeout,
    Busy,
    Conflict,
    DatabaseUnavailable,
    DataIncomplete,
    DataInUse,
    DataNotFound,
    DeletionDenied,
    Duplicate,
    Forbidden,
    ForeignLocation,
    GlimpseError,
    Gone,
    Invalid,
    LeaseLost,
    LimitExceeded,
    MarkerUnknown,
    NotFound,
    RangeNotSatisfiable,
    Refused,
    SizeMismatch,
    StoreBusy,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
    UnsupportedContent,
)
from glimpse.registry import errors
from glimpse.registry.errors import (
    DeadlinePassed,
    NotProcessed,
    RegistryDefect,
    RoleRefused,
    UnknownMethod,
    VersionRefused,
)

SPECIAL = {
    SizeMismatch: lambda: SizeMismatch(10, 2**70),
    BodyIncomplete: lambda: BodyIncomplete(7),
    RangeNotSatisfiable: lambda: RangeNotSatisfiable("The range is outside.", 99),
    DataIncomplete: lambda: DataIncomplete("The store ended.", 512),
    TooManyAttempts: lambda: TooManyAttempts("Too many failed logins.", 2.5),
    Busy: lambda: Busy("The service is busy.", 5),
    StoreBusy: lambda: StoreBusy("The store is busy.", 5),
}
OF_THE_SERVICE = [kind for kind in vars(tree).values() if isinstance(kind, type) and issubclass(kind, GlimpseError)]
OF_THE_WIRE = [DeadlinePassed, NotProcessed, RoleRefused, UnknownMethod, VersionRefused]


@pytest.mark.parametrize("kind", [*OF_THE_SERVICE, *OF_THE_WIRE])
def test_every_error_arrives_as_itself(kind: type[GlimpseError]) -> None:
    make = SPECIAL.get(kind, lambda: kind(f"Die Größe paßt nicht: {kind.__name__}."))
    sent = make()
    status, body = errors.encode(sent)
    assert status >= 400
    got = errors.decode(status, body)
    assert type(got) is kind
    assert str(got) == str(sent)
    assert got.args == sent.args
    assert vars(got) == vars(sent)


def test_an_error_without_a_text() -> None:
    assert str(errors.decode(*errors.encode(LeaseLost()))) == ""


def test_a_text_that_utf_8_cannot_hold() -> None:
    assert str(errors.decode(*errors.encode(Conflict("half \ud800")))) == "half \ud800"


#: What nodes and registries of other releases send and know: a code that is here never changes, new ones are added.
PINNED = {
    GlimpseError: "error",
    Invalid: "invalid",
    SizeMismatch: "invalid.size_mismatch",
    BodyIncomplete: "invalid.body_incomplete",
    MarkerUnknown: "invalid.marker_unknown",
    Unauthenticated: "unauthenticated",
    TooManyAttempts: "too_many_attempts",
    Forbidden: "forbidden",
    RoleRefused: "forbidden.role_refused",
    NotFound: "not_found",
    DataNotFound: "not_found.data_not_found",
    Conflict: "conflict",
    Duplicate: "conflict.duplicate",
    DataInUse: "conflict.data_in_use",
    Gone: "gone",
    LeaseLost: "gone.lease_lost",
    Refused: "refused",
    AccessDenied: "refused.access_denied",
    DeletionDenied: "forbidden.deletion_denied",
    ForeignLocation: "invalid.foreign_location",
    StoreReadOnly: "gone.store_read_only",
    LimitExceeded: "limit_exceeded",
    StoreFull: "limit_exceeded.store_full",
    UnsupportedContent: "unsupported_content",
    RangeNotSatisfiable: "range_not_satisfiable",
    BodyTimeout: "body_timeout",
    Unavailable: "unavailable",
    Busy: "unavailable.busy",
    StoreUnavailable: "unavailable.store",
    StoreBusy: "unavailable.busy.store",
    DataIncomplete: "unavailable.store.data_incomplete",
    DatabaseUnavailable: "unavailable.database",
    UnknownMethod: "unavailable.database.unknown_method",
    VersionRefused: "unavailable.database.version_refused",
    DeadlinePassed: "unavailable.database.deadline_passed",
    NotProcessed: "unavailable.database.not_processed",
}


@pytest.mark.parametrize(("kind", "code"), PINNED.items())
def test_codes_never_change(kind: type[GlimpseError], code: str) -> None:
    assert errors.CODES[kind] == code


def test_every_error_that_can_cross_has_a_code_of_its_own() -> None:
    assert {*OF_THE_SERVICE, *OF_THE_WIRE} == {*errors.CODES}
    assert len({*errors.CODES.values()}) == len(errors.CODES)


@pytest.mark.parametrize("kind", [kind for kind in errors.CODES if GlimpseError not in (kind, kind.__base__)])
def test_a_code_begins_with_that_of_the_more_general_error(kind: type[GlimpseError]) -> None:
    assert errors.CODES[kind].rpartition(".")[0] == errors.CODES[kind.__mro__[1]]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("gone.lease_lost.taken_by_another", LeaseLost),
        ("gone.evaporated", Gone),
        ("conflict.duplicate", Duplicate),
        ("forbidden.role_refused.locked", RoleRefused),
        ("forbidden.locked", Forbidden),
        ("quantum.entangled", GlimpseError),
        ("Gone.LeaseLost", GlimpseError),
        ("", GlimpseError),
        ("...", GlimpseError),
        ("defect", GlimpseError),
        ("__class__", GlimpseError),
    ],
)
def test_an_unknown_error_becomes_the_nearest_known_one(code: str, kind: type[GlimpseError]) -> None:
    body = msgspec.msgpack.encode({"code": code, "message": "It is new.", "fields": {"later": 1}, "more": []})
    got = errors.decode(errors.ORDINARY, body)
    assert type(got) is kind
    assert str(got) == "It is new."
    assert not hasattr(got, "later")


def test_a_class_that_the_wire_does_not_know_is_sent_as_its_base() -> None:
    class Special(Duplicate):
        pass

    assert type(errors.decode(*errors.encode(Special("x")))) is Duplicate


def test_fields_that_an_older_server_does_not_send_are_none() -> None:
    body = msgspec.msgpack.encode({"code": "invalid.size_mismatch", "message": "m"})
    got = errors.decode(errors.ORDINARY, body)
    assert isinstance(got, SizeMismatch)
    assert (got.announced, got.received) == (None, None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\x91" * 100_000, msgspec.msgpack.encode({"code": 1})])
def test_something_else_than_an_error_is_an_unavailable_database(body: bytes) -> None:
    got = errors.decode(502, body)
    assert type(got) is DatabaseUnavailable
    assert "502" in str(got)


def test_a_defect_of_the_server_is_a_defect_here() -> None:
    with pytest.raises(RegistryDefect):
        errors.decode(*errors.encode_defect())
