"""The syntax of filter values in list requests (images-api 3.4.3 and 3.4.4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from glimpse.errors import Invalid

#: Operators for comparing times.
TIME_OPERATORS = frozenset({"gt", "gte", "lt", "lte", "eq", "neq"})

#: Text filters whose values never contain a colon, so ``neq:`` before one must be meant as an operator.
FIXED_SETS = frozenset({"status", "container_format", "disk_format"})

_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")

_TIME = re.compile(
    r"(?P<year>[0-9]{4})(?:(?P<dash>-?)(?P<month>[0-9]{2})(?:(?P=dash)(?P<day>[0-9]{2})"
    r"(?:[ Tt](?P<hour>[0-9]{2})(?::?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?)?"
    r"(?:(?P<utc>[Zz])|(?P<sign>[+-])(?P<off_hours>[0-9]{2})(?::?(?P<off_minutes>[0-9]{2}))?)?)?)?)?"
)

#: One item of an ``in:`` list: quoted, with ``\"`` for a quote inside, or unquoted without quotes.
_ITEM = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^,"]*)', re.DOTALL)


def parse_integer(name: str, text: str) -> int:
    """:raises Invalid: ``text`` is not a decimal integer."""
    stripped = text.strip()
    if not _INTEGER.fullmatch(stripped):
        raise Invalid(f"The value of {name} must be an integer.")
    return int(stripped)


def as_time(text: str) -> datetime | None:
    """Parse an ISO 8601 date or time as naive UTC; None if ``text`` is neither. Without an offset it is UTC."""
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
        # For instance month 13, an offset of 99 hours, or a time that its offset moves before year 1.
        return None


def _offset(match: re.Match[str]) -> timezone:
    if match["sign"] is None:
        return UTC
    offset = timedelta(hours=int(match["off_hours"]), minutes=int(match["off_minutes"] or 0))
    return timezone(-offset if match["sign"] == "-" else offset)


def time_condition(name: str, text: str) -> tuple[str, datetime]:
    """Parse ``[op:]time``; the default operator is ``eq``.

    :raises Invalid: the operator is unknown, or the time is invalid.
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
    """Parse a value ``[eq:|in:]…`` into one string, or several strings for ``in:``.

    Any other value is taken literally, even with a colon: clients look up images with ``name=ubuntu:22.04``.

    :raises Invalid: a list is malformed, or a value of a fixed set has an operator for times.
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
    """Return the items between commas, without empty unquoted ones."""
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
