"""A validated list request: filters, order and page (images-api 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from glimpse.errors import Invalid

#: Sort keys of lists (images-api 3.4.2).
SORT_KEYS = frozenset({"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"})


class SortKey(msgspec.Struct, frozen=True):
    """One column of the order."""

    column: str
    descending: bool = True


class Comparison(msgspec.Struct, frozen=True):
    """``column op value`` with op one of eq, neq, gt, gte, lt, lte; a NULL column never matches."""

    column: str
    op: str
    value: str | int | bool | datetime


class OneOf(msgspec.Struct, frozen=True):
    """``column IN values``; without values nothing matches."""

    column: str
    values: tuple[str, ...]


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """All conditions are combined with AND.

    ``visibility`` is None (the default set), ``all``, or one visibility; ``member_status`` is a membership
    status or ``all``. ``order`` always ends with ``created_at`` and ``id`` (tie-breakers), so it is total.
    ``marker`` is the id of the last image of the previous page; ``limit`` counts images and may be 0.
    """

    visibility: str | None = None
    member_status: str = "accepted"
    os_hidden: bool = False
    comparisons: tuple[Comparison, ...] = ()
    one_of: tuple[OneOf, ...] = ()
    tags: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    order: tuple[SortKey, ...] = (SortKey("created_at"), SortKey("id"))
    marker: str | None = None
    limit: int = 25


# ------------------------------------------------------------- Parsing of a list's sort parameters (images-api 3.4.2)

_DESCENDING = {"asc": False, "desc": True}
_TIE_BREAKERS = ("created_at", "id")


def parse_order(sort: str | None, sort_keys: Sequence[str], sort_dirs: Sequence[str]) -> tuple[SortKey, ...]:
    """Return the total order for ``sort``, or for ``sort_key`` and ``sort_dir`` in the order given.

    :raises Invalid: a key or direction is unknown, both forms are used, or the number of directions is wrong.
    """
    if sort is None:
        wanted = _separate(sort_keys or ("created_at",), sort_dirs)
    elif sort_keys or sort_dirs:
        raise Invalid("sort cannot be used together with sort_key or sort_dir.")
    else:
        wanted = [_sort_item(item) for item in sort.split(",")]
    order: dict[str, bool] = {}
    for key, direction in wanted:
        # A repeated key has no effect on the order.
        order.setdefault(_checked_key(key), _checked_direction(direction))
    last = _checked_direction(sort_dirs[0]) if len(sort_dirs) == 1 else True
    for key in _TIE_BREAKERS:
        order.setdefault(key, last)
    return tuple(SortKey(key, descending) for key, descending in order.items())


def _separate(keys: Sequence[str], dirs: Sequence[str]) -> list[tuple[str, str]]:
    if len(dirs) < 2:
        direction = dirs[0] if dirs else "desc"
        return [(key, direction) for key in keys]
    if len(dirs) != len(keys):
        raise Invalid("There must be one sort_dir, or one for each sort_key.")
    return list(zip(keys, dirs, strict=True))


def _sort_item(item: str) -> tuple[str, str]:
    key, colon, direction = item.strip().partition(":")
    return key, direction if colon else "desc"


def _checked_key(key: str) -> str:
    if key not in SORT_KEYS:
        raise Invalid(f"Images can be sorted only by {', '.join(sorted(SORT_KEYS))}.")
    return key


def _checked_direction(direction: str) -> bool:
    if direction not in _DESCENDING:
        raise Invalid("A sort direction must be asc or desc.")
    return _DESCENDING[direction]
