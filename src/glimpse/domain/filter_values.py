"""The small languages inside filter values of a list (images-api 3.4.3 and 3.4.4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from glimpse.errors import Invalid

#: Operators that a time may be compared with.
TIME_OPERATORS = frozenset({"gt", "gte", "lt", "lte", "eq", "neq"})

#: Text filters whose values never contain a colon, so that ``neq:`` before one is meant as an operator.
FIXED_SETS = frozenset({"status", "container_format", "disk_format"})

_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")

_TIME = re.compile(
    r"(?P<year>[0-9]{4})(?:(?P<dash>-?)(?P<month>[0-9]{2})(?:(?P=dash)(?P<day>[0-9]{2})"
    r"(?:[ Tt](?P<hour>[0-9]{2})(?::?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?)?"
    r"(?:(?P<utc>[Zz])|(?P<sign>[+-])(?P<off_hours>[0-9]{2})(?::?(?P<off_minutes>[0-9]{2}))?)?)?)?)?"
)

#: One item of an ``in:`` list: quoted, with ``\"`` for a quote inside, or plain without any quote.
_ITEM = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^,"]*)', re.DOTALL)


def parse_integer(name: str, text: str) -> int:
    """:raises Invalid: ``text`` is no decimal integer."""
    stripped = text.strip()
    if not _INTEGER.fullmatch(stripped):
        raise Invalid(f"The value of {name} must be an integer.")
    return int(stripped)


def as_time(text: str) -> datetime | None:
    """An ISO 8601 date or time as naive UTC, None where ``text`` is neither; without an offset it is UTC."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    try:
        moment = datetime(
            int(match["year"]),
            int(match["month"] or 1),
            int(match["day"] or 1),
            int(match["hour"] or 0),
            int(match["minute"] or 0),
            int(match["second"] or 0),
            int((match["fraction"] or "0")[:6].ljust(6, "0")),
            tzinfo=_offset(match),
        )
        return moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        # A month 13, an offset of 99 hours, or a year 1 that an offset moves before the first one.
        return None


def _offset(match: re.Match[str]) -> timezone:
    if match["sign"] is None:
        return UTC
    offset = timedelta(hours=int(match["off_hours"]), minutes=int(match["off_minutes"] or 0))
    return timezone(-offset if match["sign"] == "-" else offset)


def time_condition(name: str, text: str) -> tuple[str, datetime]:
    """Operator and time of ``[op:]time``; the default operator is ``eq``.

    :raises Invalid: an unknown operator, or no time.
    """
    whole = as_time(text)
    if whole is not None:
        return "eq", whole
    operator, colon, rest = text.partition(":")
    if colon and operator in TIME_OPERATORS:
        moment = as_time(rest)
        if moment is not None:
            return operator, moment
    raise Invalid(
        f"The value of {name} must be an ISO 8601 time, optionally with gt:, gte:, lt:, lte:, eq: or neq: before it."
    )


def text_condition(name: str, text: str) -> str | tuple[str, ...]:
    """The one text, or the several of ``in:``, that a value of the form ``[eq:|in:]…`` stands for.

    Any other text stands for itself, also with a colon in it: clients look an image up as ``name=ubuntu:22.04``.

    :raises Invalid: a malformed list, or an operator of times before a value of a fixed set.
    """
    operator, colon, rest = text.partition(":")
    if not colon:
        return text
    if operator == "eq":
        return rest
    if operator == "in":
        return _list_items(name, rest)
    if name in FIXED_SETS and operator in TIME_OPERATORS:
        raise Invalid(f"The operators of {name} are eq: and in:, not {operator}:.")
    return text


def _list_items(name: str, text: str) -> tuple[str, ...]:
    """The items between commas; empty ones that are not quoted are left out."""
    items: list[str] = []
    position = 0
    while position <= len(text):
        match = _ITEM.match(text, position)
        if match is None or (match.end() < len(text) and text[match.end()] != ","):
            raise Invalid(f"The list of {name} has an unclosed quote, or a quote that is not next to a comma.")
        if match["quoted"] is not None:
            items.append(match["quoted"].replace('\\"', '"'))
        elif match["plain"]:
            items.append(match["plain"])
        position = match.end() + 1
    return tuple(items)
