"""A validated list request: filters, order and page (images-api 3.4)."""

from __future__ import annotations

from datetime import datetime

import msgspec

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
