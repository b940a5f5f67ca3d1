"""The order of a list, and where a page starts: after its marker (images-api 3.4.2; database 10.2).

NULL is the smallest value in every database, in the order and in the comparison with the marker alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from glimpse.db.sql.tables import images
from glimpse.domain.listing import SortKey


def order_by(order: Sequence[SortKey], *, state_nulls: bool, table: sa.Table = images) -> list[sa.ColumnElement[Any]]:
    """The terms of ORDER BY; ``state_nulls`` where the database takes NULL as the largest value by itself."""
    return [_term(table.c[key.column], key.descending, state_nulls) for key in order]


def _term(column: sa.Column[Any], descending: bool, state_nulls: bool) -> sa.ColumnElement[Any]:
    term = column.desc() if descending else column.asc()
    if not (state_nulls and column.nullable):
        return term
    return term.nulls_last() if descending else term.nulls_first()


def marker_name(position: int) -> str:
    """The parameter that holds the marker's value of the key at this position of the order."""
    return f"marker_{position}"


def after_marker(order: Sequence[SortKey], nulls: Sequence[bool], table: sa.Table = images) -> sa.ColumnElement[bool]:
    """Rows strictly after the marker; ``nulls`` tells at which keys the marker itself is NULL."""
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
