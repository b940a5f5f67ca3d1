"""For any body of a call, the response is a typed error or a result, and the next call works."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from glimpse.db.base import Database
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.domain.listing import SortKey
from glimpse.errors import Invalid
from glimpse.registry import errors, wire
from glimpse.registry.methods import METHODS
from glimpse.settings.model import DatabaseSettings, Secret
from tests.support.registry_asgi import OPERATOR, VERSIONED, Asgi, registry_on
from tests.support.wire import template

#: What a call may come to; 500, a defect, is not among it.
STATUSES = {200, errors.ORDINARY, *errors.STATUSES.values()}

TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["7", "queued", "asc", "created_at", "\x00", "\U0001f4a9"]))
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    TEXTS,
    st.binary(max_size=10),
    st.builds(msgspec.msgpack.Ext, st.integers(-128, 127), st.binary(max_size=20)),
)


def names_of(name: str) -> list[str]:
    return [each for each in inspect.signature(getattr(Database, name)).parameters if each != "self"]


def fields_of(name: str) -> st.SearchStrategy[str]:
    """Names that occur in the arguments of a method, so that some of the values get deep into it."""
    known = {"image_id", "project_id", "is_admin", "limit", "id", "name", "status", "columns", "owner", "generation"}
    return st.sampled_from(sorted({*known, *names_of(name)}))


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, bytes]:
    """A method and a body."""
    name = draw(st.sampled_from(sorted(METHODS)))
    values = st.recursive(
        PLAIN,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.one_of(fields_of(name), TEXTS), inner, max_size=5),
        ),
        max_leaves=12,
    )
    arguments = st.fixed_dictionaries(dict.fromkeys(names_of(name), values))
    body = draw(st.one_of(st.builds(encoded, arguments), st.builds(encoded, values), st.binary(max_size=200)))
    if body and draw(st.booleans()):
        place = draw(st.integers(0, len(body) - 1))
        body = body[:place] + draw(st.binary(max_size=3)) + body[place + 1 :]
    return name, body


def encoded(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asgi]:
    file = tmp_path_factory.mktemp("fuzz") / "glimpse.sqlite"
    shutil.copyfile(template(), file)
    url = Secret(f"sqlite:///{file}")
    database = SqlDatabase(connect(DatabaseSettings(connection=url, sqlite_synchronous=False)))
    with registry_on(database) as started:
        yield started
    database.close()


def asked(registry: Asgi, name: str, body: bytes) -> None:
    answer = registry.post(name, body, client=OPERATOR)
    assert answer.status in STATUSES, answer
    if answer.status == 200:
        METHODS[name].decode_result(answer.body)
    else:
        assert str(answer.error)
    assert registry.calls.inside == 0


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(call=calls())
def test_any_body_of_any_method(registry: Asgi, call: tuple[str, bytes]) -> None:
    asked(registry, *call)


@pytest.mark.heavy
@pytest.mark.timeout(900)
@settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(call=calls())
def test_very_many_bodies(registry: Asgi, call: tuple[str, bytes]) -> None:
    asked(registry, *call)


def hinted(name: str) -> dict[str, Any]:
    """Types of the arguments of a method."""
    hints = get_type_hints(getattr(Database, name))
    return {argument: hint for argument, hint in hints.items() if argument != "return"}


#: Values that calls have in common, so that some find what others have stored.
ORDINARY_TEXTS = st.sampled_from(["0" * 32, "00000000-0000-0000-0000-000000000001", "queued", "upload", "id", "eq"])
EXTREME_TEXTS = st.sampled_from(["", "\x00", "\ud800", "x\udfff", "\U0001f4a9", "x" * 70_000, "\u00e9" * 300])
EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-23, minutes=-59))
EDGES = [sign * 2**bits for bits in (31, 63, 64) for sign in (1, -1)]
SCALARS: Mapping[Any, st.SearchStrategy[Any]] = {
    str: ORDINARY_TEXTS | ORDINARY_TEXTS | TEXTS | EXTREME_TEXTS,
    int: st.integers(0, 9) | st.integers() | st.sampled_from(EDGES),
    float: st.floats(0, 1e10) | st.floats(),
    bool: st.booleans(),
    datetime: st.sampled_from([datetime(2026, 1, 1), datetime.min, datetime.max])  # noqa: DTZ001, DTZ901 - naive UTC
    | st.sampled_from([datetime.min.replace(tzinfo=EAST), datetime.max.replace(tzinfo=WEST), datetime.now(UTC)]),
    type(None): st.none(),
}  # fmt: skip
#: What JSON can say, and what it cannot.
ANYTHING = st.recursive(
    st.one_of(st.none(), *SCALARS.values(), st.binary(max_size=3), st.just(10**400)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(SCALARS[str] | st.integers(0, 3), inner, max_size=2),
    max_leaves=4,
)


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type, ordinary ones and the most extreme."""
    if hint is Any:
        return ANYTHING
    if hint in SCALARS:
        return SCALARS[hint]
    if hint is SortKey:
        return st.builds(SortKey, ORDINARY_TEXTS | SCALARS[str], st.booleans())
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return st.builds(hint, **{name: of_type(inner) for name, inner in get_type_hints(hint).items()})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from([*hint, *hint, "", "no such word"])
    if isinstance(hint, TypeVar):
        return st.one_of(*map(of_type, hint.__constraints__))
    origin, parts = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return st.one_of(*map(of_type, parts))
    if origin in {list, Sequence, Collection} or parts[1:] == (...,):
        made = st.lists(of_type(parts[0]), max_size=3)
        return made.map(tuple) if origin is tuple else made
    if origin is tuple:
        return st.tuples(*map(of_type, parts))
    if origin in {dict, Mapping}:
        return st.dictionaries(of_type(parts[0]), of_type(parts[1]), max_size=3)
    return st.from_type(hint)


@st.composite
def typed_calls(draw: st.DrawFn) -> tuple[str, bytes]:
    """A method and arguments of the right types, whatever is in them."""
    name = draw(st.sampled_from(sorted(METHODS)))
    arguments = {argument: draw(of_type(hint)) for argument, hint in hinted(name).items()}
    try:
        return name, METHODS[name].encode_arguments(arguments)
    except Invalid:
        # nobody can send these
        assume(False)
        raise


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(call=typed_calls())
def test_arguments_of_the_right_types(registry: Asgi, call: tuple[str, bytes]) -> None:
    asked(registry, *call)


@pytest.mark.heavy
@pytest.mark.timeout(900)
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(call=typed_calls())
def test_very_many_arguments_of_the_right_types(registry: Asgi, call: tuple[str, bytes]) -> None:
    asked(registry, *call)


HEADER_NAMES = st.one_of(
    st.sampled_from([wire.VERSION_HEADER, wire.DEADLINE_HEADER, wire.REQUEST_ID_HEADER, "Content-Type"]),
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=10),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    verb=st.sampled_from(["GET", "POST", "HEAD", "PUT", "BREW"]),
    path=st.one_of(
        st.text(max_size=20), st.sampled_from([*METHODS]).map(wire.PREFIX.__add__), st.just(wire.SERVER_INFO)
    ),
    headers=st.dictionaries(HEADER_NAMES, st.text(st.characters(max_codepoint=255), max_size=20), max_size=4),
    body=st.lists(st.binary(max_size=20), max_size=3),
)
def test_any_request(registry: Asgi, verb: str, path: str, headers: dict[str, str], body: list[bytes]) -> None:
    for given_headers in (headers, {**headers, **VERSIONED}):
        answer = registry.request(verb, path, body, given_headers, client=OPERATOR)
        assert answer.status in STATUSES, answer
