"""Sort a list and start a page after its marker (images-api 3.4.2; database 10.2).

NULL sorts before every value on every database, both in ORDER BY and in comparisons with the marker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from glimpse.db.sql.tables import images
from glimpse.domain.listing import SortKey


def order_by(order: Sequence[SortKey], *, state_nulls: bool, table: sa.Table = images) -> list[sa.ColumnElement[Any]]:
    """Return the terms of ORDER BY; ``state_nulls`` for a database that sorts NULL last by default."""
    return [_term(table.c[key.column], key.descending, state_nulls) for key in order]


def _term(column: sa.Column[Any], descending: bool, state_nulls: bool) -> sa.ColumnElement[Any]:
    term = column.desc() if descending else column.asc()
    if not (state_nulls and column.nullable):
        return term
    return term.nulls_last() if descending else term.nulls_first()


def marker_name(position: int) -> str:
    """Return the name of the parameter for the marker's value of the sort key at this position."""
    return f"marker_{position}"


def after_marker(order: Sequence[SortKey], nulls: Sequence[bool], table: sa.Table = images) -> sa.ColumnElement[bool]:
    """Return the condition for rows after the marker; ``nulls``: whether the marker is NULL, for each sort key."""
    condition: sa.ColumnElement[bool] = sa.false()
    for position in reversed(range(len(order))):
        key = order[position]
        column = table.c[key.column]
        value = None if nulls[position] else sa.bindparam(marker_name(position), type_=column.type)
        further = _beyond(column, value, descending=key.descending)
        level = column.is_(None) if value is None else column == value
        condition = sa.or_(further, sa.and_(level, condition))
    return condition


def _beyond(column: sa.Column[Any], value: sa.BindParameter[Any] | None, *, descending: bool) -> sa.ColumnElement[bool]:
    if value is None:
        return sa.false() if descending else column.is_not(None)
    if not descending:
        return column > value
    smaller = column < value
    return sa.or_(smaller, column.is_(None)) if column.nullable else smaller
