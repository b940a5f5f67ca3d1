"""Errors of the service cross the wire as they are."""

from __future__ import annotations

import msgspec
import pytest

from glimpse import errors as tree
from glimpse.errors import (
    BodyIncomplete,
    Busy,
    Conflict,
    DatabaseUnavailable,
    DataIncomplete,
    Duplicate,
    Forbidden,
    GlimpseError,
    Gone,
    LeaseLost,
    RangeNotSatisfiable,
    SizeMismatch,
    TooManyAttempts,
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


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("Gone.LeaseLost.TakenByAnother", LeaseLost),
        ("Gone.Evaporated", Gone),
        ("Conflict.Duplicate", Duplicate),
        ("Forbidden.RoleRefused.Locked", RoleRefused),
        ("Forbidden.Locked", Forbidden),
        ("Quantum.Entangled", GlimpseError),
        ("", GlimpseError),
        ("RegistryDefect", GlimpseError),
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
    body = msgspec.msgpack.encode({"code": "Invalid.SizeMismatch", "message": "m"})
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
