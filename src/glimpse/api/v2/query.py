"""The query string of an image list: filters, order, page, and the links to pages (images-api 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar
from urllib.parse import unquote_to_bytes, urlencode

import msgspec

from glimpse.domain.filter_values import parse_integer, text_condition, time_condition
from glimpse.domain.listing import Comparison, ListQuery, OneOf, parse_order
from glimpse.domain.status import MemberStatus, Visibility
from glimpse.errors import Invalid

_PATH = "/v2/images"
_BIGINT_MAX = 2**63 - 1
_NUMERIC = ("size", "virtual_size", "min_disk", "min_ram")
_RANGES = {"_min": "gte", "_max": "lte"}
_VISIBILITIES = frozenset({"all", *Visibility})
_MEMBER_STATUSES = frozenset({"all", *MemberStatus})
_PAGING = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir"})

#: Maximum number of parameters in a query. Every filter is a condition of the statement, and databases limit these.
_MOST_PARAMETERS = 128

Pairs = list[tuple[str, str]]

Q = TypeVar("Q")


class PageLimits(Protocol):
    """Default and maximum page size."""

    @property
    def limit_param_default(self) -> int:
        """Page size if the client gives no limit."""
        ...

    @property
    def api_limit_max(self) -> int:
        """Maximum page size."""
        ...


class ListRequest(msgspec.Struct, Generic[Q], frozen=True):
    """A validated request for a page of a list; ``first`` is the link to the first page."""

    query: Q
    first: str

    def next_link(self, last_id: str) -> str:
        """Return the link to the page after the one that ends with ``last_id``."""
        return f"{self.first}{'&' if '?' in self.first else '?'}{urlencode({'marker': last_id})}"


def parse_list_request(query_string: bytes, limits: PageLimits) -> ListRequest[ListQuery]:
    """Parse the raw query string, without the question mark.

    Unlike in Glance, links keep repeated parameters and their order (images-api 3.4.1).

    :raises Invalid: it is not UTF-8, or a parameter has an invalid value.
    """
    pairs = parse_form(query_string)
    if len(pairs) > _MOST_PARAMETERS:
        raise Invalid(f"A list may have at most {_MOST_PARAMETERS} parameters, not {len(pairs)}.")
    last = dict(pairs)
    conditions = _Conditions()
    for name, value in last.items():
        if name not in _PAGING:
            _add_filter(conditions, name, value)
    query = ListQuery(
        visibility=conditions.visibility,
        member_status=conditions.member_status,
        os_hidden=conditions.os_hidden,
        comparisons=tuple(conditions.comparisons),
        one_of=tuple(conditions.one_of),
        tags=tuple(value for name, value in pairs if name == "tag"),
        properties=tuple(conditions.properties),
        order=parse_order(
            last.get("sort"),
            [value for name, value in pairs if name == "sort_key"],
            [value for name, value in pairs if name == "sort_dir"],
        ),
        marker=last.get("marker"),
        limit=page_size(last.get("limit"), limits),
    )
    repeated = urlencode([pair for pair in pairs if pair[0] != "marker"])
    return ListRequest(query, f"{_PATH}?{repeated}" if repeated else _PATH)


def parse_form(query_string: bytes) -> Pairs:
    """Return the parameters of a raw query string in their order.

    :raises Invalid: a name or a value is not UTF-8, or contains NUL.
    """
    return [
        (_decode(name), _decode(value))
        for name, _, value in (pair.partition(b"=") for pair in query_string.split(b"&") if pair)
    ]


def _decode(raw: bytes) -> str:
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("The query string is not encoded in UTF-8.") from None
    if "\0" in text:
        raise Invalid("The query string contains the character NUL.")
    return text


def page_size(sent: str | None, limits: PageLimits) -> int:
    """Return the page size for the parameter ``limit``, None if it was not sent.

    :raises Invalid: it is no integer, or negative.
    """
    wanted = limits.limit_param_default if sent is None else parse_integer("limit", sent)
    if wanted < 0:
        raise Invalid("limit must not be negative.")
    return min(wanted, limits.api_limit_max)


class _Conditions(msgspec.Struct):
    """Collects the conditions of the filters."""

    visibility: str | None = None
    member_status: str = "accepted"
    os_hidden: bool = False
    comparisons: list[Comparison] = msgspec.field(default_factory=list[Comparison])
    one_of: list[OneOf] = msgspec.field(default_factory=list[OneOf])
    properties: Pairs = msgspec.field(default_factory=Pairs)


def _add_filter(conditions: _Conditions, name: str, value: str) -> None:
    reader = _READERS.get(name)
    if reader is not None:
        reader(conditions, name, value)
    elif name[-4:] in _RANGES:
        _range(conditions, name, value)
    else:
        conditions.properties.append((name, value))


def _visibility(conditions: _Conditions, name: str, value: str) -> None:
    if not value:
        conditions.one_of.append(OneOf(name, ()))
    elif value in _VISIBILITIES:
        conditions.visibility = value
    else:
        raise Invalid("visibility must be public, private, shared, community or all.")


def _member_status(conditions: _Conditions, name: str, value: str) -> None:
    if value not in _MEMBER_STATUSES:
        raise Invalid(f"{name} must be pending, accepted, rejected or all.")
    conditions.member_status = value


def _os_hidden(conditions: _Conditions, name: str, value: str) -> None:
    if value.lower() not in {"true", "false"}:
        raise Invalid(f"{name} must be true or false.")
    conditions.os_hidden = value.lower() == "true"


def _protected(conditions: _Conditions, name: str, value: str) -> None:
    if value not in {"true", "false"}:
        raise Invalid(f"{name} must be true or false, in lower case.")
    conditions.comparisons.append(Comparison(name, "eq", value == "true"))


def _exact_text(conditions: _Conditions, name: str, value: str) -> None:
    conditions.comparisons.append(Comparison(name, "eq", value))


def _text(conditions: _Conditions, name: str, value: str) -> None:
    wanted = text_condition(name, value)
    if isinstance(wanted, str):
        conditions.comparisons.append(Comparison(name, "eq", wanted))
    else:
        conditions.one_of.append(OneOf(name, wanted))


def _number(conditions: _Conditions, name: str, value: str) -> None:
    wanted = parse_integer(name, value)
    if abs(wanted) > _BIGINT_MAX:
        conditions.one_of.append(OneOf(name, ()))
    else:
        conditions.comparisons.append(Comparison(name, "eq", wanted))


def _range(conditions: _Conditions, name: str, value: str) -> None:
    column, operator = name[:-4], _RANGES[name[-4:]]
    if column not in _NUMERIC:
        raise Invalid(f"Only {', '.join(_NUMERIC)} can be filtered by minimum and maximum.")
    # No column has more than 63 bits, so a larger bound means the same as the largest value.
    bound = max(-_BIGINT_MAX, min(_BIGINT_MAX, parse_integer(name, value)))
    conditions.comparisons.append(Comparison(column, operator, bound))


def _time(conditions: _Conditions, name: str, value: str) -> None:
    operator, moment = time_condition(name, value)
    conditions.comparisons.append(Comparison(name, operator, moment))


def _changes_since(_conditions: _Conditions, name: str, value: str) -> None:
    if value:
        raise Invalid(f"{name} is not supported.")


def _ignored(_conditions: _Conditions, _name: str, _value: str) -> None:
    """Ignore the parameter: ``deleted`` has no effect any more; ``tag`` is read elsewhere with its repetitions."""


_READERS: dict[str, Callable[[_Conditions, str, str], None]] = {
    "visibility": _visibility,
    "member_status": _member_status,
    "os_hidden": _os_hidden,
    "protected": _protected,
    "changes-since": _changes_since,
    **dict.fromkeys(("deleted", "tag"), _ignored),
    **dict.fromkeys(("owner", "checksum", "os_hash_value", "os_hash_algo"), _exact_text),
    **dict.fromkeys(("name", "id", "status", "container_format", "disk_format"), _text),
    **dict.fromkeys(_NUMERIC, _number),
    **dict.fromkeys(("created_at", "updated_at"), _time),
}
