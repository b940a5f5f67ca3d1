"""Values of filters (images-api 3.4.3 and 3.4.4)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glimpse.domain.filter_values import as_time, parse_integer, text_condition, time_condition
from glimpse.errors import GlimpseError, Invalid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T10:06:31Z", "2026-11-22T10:06:31"),
        ("2026-11-22t10:06:31z", "2026-11-22T10:06:31"),
        ("2026-11-22T10:06:31", "2026-11-22T10:06:31"),
        ("2026-11-22 10:06:31", "2026-11-22T10:06:31"),
        ("2026-11-22T10:06:31+02:00", "2026-11-22T08:06:31"),
        ("2026-11-22T10:06:31-0130", "2026-11-22T11:36:31"),
        ("2026-11-22T10:06:31+02", "2026-11-22T08:06:31"),
        ("2026-11-22T10:06:31.5Z", "2026-11-22T10:06:31.500000"),
        ("2026-11-22T10:06:31.123456789Z", "2026-11-22T10:06:31.123456"),
        ("2026-11-22T10:06", "2026-11-22T10:06:00"),
        ("20261122T100631Z", "2026-11-22T10:06:31"),
        ("2026-11-22", "2026-11-22T00:00:00"),
        ("2026-11", "2026-11-01T00:00:00"),
        ("2026", "2026-01-01T00:00:00"),
    ],
)
def test_times(text: str, expected: str) -> None:
    moment = as_time(text)
    assert moment is not None
    assert moment.tzinfo is None
    assert moment.isoformat() == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-13-01", "2026-02-30", "2026-11-22T25:00", "2026-11-22x10:00", "2026-11-22T10:06:31 02:00",
        "0001-01-01T00:00+05:00", "2026-11-22T10:06+99:00", "2026-1122", "２０２６-11-22", "2026-11-22T10:06:31Z\n",
    ],
)  # fmt: skip
def test_no_times(text: str) -> None:
    assert as_time(text) is None


@pytest.mark.parametrize("operator", ["gt", "gte", "lt", "lte", "eq", "neq"])
def test_time_operators(operator: str) -> None:
    moment = as_time("2026-11-22T10:06:31Z")
    assert time_condition("created_at", f"{operator}:2026-11-22T10:06:31Z") == (operator, moment)


def test_a_time_without_operator_is_equality() -> None:
    assert time_condition("created_at", "2026-11-22T10:06:31Z") == ("eq", as_time("2026-11-22T10:06:31Z"))


@pytest.mark.parametrize(
    "text", ["", "gt", "gt:", "gt:now", "in:2026-11-22", "xx:2026-11-22", ":2026-11-22", "GT:2026"]
)
def test_bad_time_conditions(text: str) -> None:
    with pytest.raises(Invalid, match="created_at"):
        time_condition("created_at", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cirros", "cirros"),
        ("", ""),
        ("a,b", "a,b"),
        ('"a"', '"a"'),
        ("cirros:0.6", "cirros:0.6"),
        ("neq:a", "neq:a"),
        (":a", ":a"),
        ("IN:a", "IN:a"),
        ("eq:cirros:0.6", "cirros:0.6"),
        ("eq:", ""),
        ("eq:in:a", "in:a"),
        ("2026-11-22T10:06:31Z", "2026-11-22T10:06:31Z"),
        ("in:", ()),
        ("in:a", ("a",)),
        ("in:a,b", ("a", "b")),
        ("in:a:1,b:2", ("a:1", "b:2")),
        ("in:a,,b,", ("a", "b")),
        ("in: a", (" a",)),
        ('in:"a,b",c', ("a,b", "c")),
        ('in:c,"a,b"', ("c", "a,b")),
        (r'in:"say \"hi\""', ('say "hi"',)),
        (r'in:"a\b"', (r"a\b",)),
        ('in:""', ("",)),
    ],
)
def test_text_conditions(text: str, expected: str | tuple[str, ...]) -> None:
    assert text_condition("name", text) == expected


@pytest.mark.parametrize(
    "text",
    ['in:"a', 'in:a"', 'in:a"b"', 'in:"a"b', 'in:"a" ,b', r'in:"a\"'],
)
def test_bad_text_conditions(text: str) -> None:
    with pytest.raises(Invalid, match="name"):
        text_condition("name", text)


@pytest.mark.parametrize("name", ["status", "container_format", "disk_format"])
@pytest.mark.parametrize("operator", ["neq", "gt", "gte", "lt", "lte"])
def test_operators_of_times_before_values_of_a_fixed_set(name: str, operator: str) -> None:
    with pytest.raises(Invalid, match=f"The operators of {name} are eq: and in:, not {operator}:"):
        text_condition(name, f"{operator}:a")
    assert text_condition(name, "other:a") == "other:a"


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("-5", -5), ("+7", 7), (" 8 ", 8), ("007", 7)])
def test_integers(text: str, value: int) -> None:
    assert parse_integer("size", text) == value


@pytest.mark.parametrize("text", ["", "a", "1.5", "1e3", "0x1", "1_000", "٣", "--1", "gt:5", "9" * 5000])
def test_no_integers(text: str) -> None:
    with pytest.raises(Invalid, match="size"):
        parse_integer("size", text)


@settings(deadline=None)
@given(text=st.text('ineq:",\\ab 0129-TZ+.') | st.text())
@pytest.mark.parametrize("read", [text_condition, time_condition, parse_integer])
def test_any_text_is_a_condition_or_a_typed_error(read: Callable[[str, str], object], text: str) -> None:
    with contextlib.suppress(GlimpseError):
        assert read("name", text) is not None


@settings(deadline=None)
@given(items=st.lists(st.text().filter(lambda item: "\\" not in item)))
def test_quoted_lists_are_read_back(items: list[str]) -> None:
    quoted = ",".join('"' + item.replace('"', '\\"') + '"' for item in items)
    assert text_condition("name", f"in:{quoted}") == tuple(items)
