"""Read a page of a list filtered by tags or properties: the project's own images first, then the others.

Checking whether an image has a tag or property is slow, so no more images are checked than the page needs. The
project's own images are read first, range by range (``index_ranges.py``), until they fill a page. Of the others,
public and shared ones, only those are read that do not sort after the last own image.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.index_hints import PRIMARY, use_index
from glimpse.db.sql.index_ranges import Condition
from glimpse.db.sql.list_statement import (
    Shape,
    filters,
    first_of,
    heads_of,
    key_columns,
    lanes,
    rows_of,
    tag_property_conditions,
)
from glimpse.db.sql.tables import images
from glimpse.db.sql.visibility import Lane

_LED: sa.BindParameter[Any] = sa.bindparam("led", expanding=True)
_BOUND = "bound"


def own_images_first(
    connection: Connection, shape: Shape, values: dict[str, Any], *, hints: bool
) -> Sequence[Any] | None:
    """Return the rows of the page; None if the list has no own images to read first, or one of them has changed.

    ``values`` are the parameters of :func:`~glimpse.db.sql.list_statement.page_statement`.
    """
    dialect = connection.dialect.name
    statements = _lead_statements(shape, dialect, hints=hints)
    if statements is None:
        return None
    limit: int = values["limit"]
    led: list[Any] = []
    for statement in statements:
        missing = limit - len(led)
        led += connection.execute(statement, values | {"limit": missing, "last": missing - 1}).fetchall()
        if len(led) >= limit:
            break
    more: dict[str, Any] = {"led": [row.id for row in led]}
    last_is_null: bool | None = None
    if len(led) >= limit:
        more[_BOUND] = getattr(led[-1], shape.order[0].column)
        last_is_null = more[_BOUND] is None
    rows = connection.execute(_page_statement(shape, dialect, last_is_null, hints=hints), values | more).fetchall()
    return None if len(rows) < limit <= len(led) else rows


@lru_cache(maxsize=256)
def _lead_statements(shape: Shape, dialect: str, *, hints: bool) -> list[sa.Select[*tuple[Any, ...]]] | None:
    """Return the SELECTs of the sort keys of own images: one for each range, to be run in this order."""
    found = lanes(shape, dialect)
    lead = _lead(found, shape)
    if lead is None:
        return None
    lane = found[lead]
    conditions = (*lane.conditions, *filters(shape), *tag_property_conditions(shape, dialect, in_set=True, hints=hints))
    parts = heads_of(lane, conditions, shape, dialect, hints=hints)
    return [first_of(part, shape, dialect) for part in parts]


def _lead(found: Sequence[Lane], shape: Shape) -> int | None:
    """Return the position of the lane to read first: that of own images, or the only lane; None without either."""
    for position, lane in enumerate(found):
        if lane.indexes and (len(found) == 1 or (lane.is_of_owner and not shape.scope.is_admin)):
            return position
    return None


@lru_cache(maxsize=256)
def _page_statement(
    shape: Shape, dialect: str, last_is_null: bool | None, *, hints: bool
) -> sa.Select[*tuple[Any, ...]]:
    """``last_is_null``: whether the first key of the last own image is NULL; None if they do not fill a page."""
    every = lanes(shape, dialect)
    lead = _lead(every, shape)
    within = _within(shape, last_is_null)
    found: list[Any] = []
    for position, lane in enumerate(every):
        if position == lead:
            keys = [images.c[column] for column in key_columns(shape.order)]
            # these conditions may have become false; without IS TRUE, SQLite would start from the owner
            still_there = [condition.is_(sa.true()) for condition in (*lane.conditions, *within)]
            led = sa.select(*keys).where(images.c.id.in_(_LED), *still_there, *filters(shape))
            # with this hint MariaDB does not estimate the number of rows in all other indexes
            found.append(use_index(led, images, PRIMARY))
            continue
        asked = (*filters(shape), *within, *tag_property_conditions(shape, dialect, in_set=False, hints=hints))
        for part in heads_of(lane, (*lane.conditions, *asked), shape, dialect, hints=hints):
            found += part
    return rows_of(found, shape, dialect)


def _within(shape: Shape, last_is_null: bool | None) -> list[Condition]:
    """Return the condition that an image does not sort after the last own one by the first key (NULL sorts first)."""
    if last_is_null is None:
        return []
    key = shape.order[0]
    column = images.c[key.column]
    if last_is_null:
        return [] if key.descending else [column.is_(None)]
    value = sa.bindparam(_BOUND, type_=column.type)
    if key.descending:
        return [column >= value]
    return [sa.or_(column <= value, column.is_(None)) if column.nullable else column <= value]
