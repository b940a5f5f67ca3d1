"""A page as the heads of ranges of an index, so that the last page of a list costs what the first one does.

The indexes on ``images`` end with a key, ``created_at`` and ``id``, behind the owner or the visibility. Such an index
is read in both directions. What follows a marker is one range in it for each key of the order: the rows that are
equal in all keys before this one, and beyond the marker in it. NULL, which is smaller than any value, is a range of
its own: no database reads ``key < value OR key IS NULL`` as one.

Where the key and the rest of the order go in different directions, the first rows of a range may be cut out of the
middle of a group of equal keys. So the head of that group is read as well, in its own order (:attr:`Range.turns`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from glimpse.db.sql.keyset import marker_name
from glimpse.db.sql.tables import images
from glimpse.domain.listing import SortKey

Condition = sa.ColumnElement[bool]

#: What the marker of a list is: NULL or not, by key of the order; None without a marker.
MarkerNulls = Sequence[bool] | None

#: Parameters: the rows of a page, and one less.
LIMIT = sa.bindparam("limit", type_=sa.Integer())
LAST = sa.bindparam("last", type_=sa.Integer())

_TIES = ("created_at", "id")


class Range(msgspec.Struct, frozen=True):
    """Rows that lie together in an index; no key of ``order`` is NULL in them, and ``null`` is in all of them."""

    conditions: tuple[Condition, ...]
    order: tuple[SortKey, ...]
    null: str | None = None

    @property
    def turns(self) -> bool:
        """Whether the ties of the first key go in another direction than the key; then it is the first of the order."""
        return len({key.descending for key in self.order}) > 1


def in_index_order(order: Sequence[SortKey]) -> bool:
    """Whether an index has the order of this list: one key, and the ties in one direction."""
    columns = tuple([key.column for key in order])
    if columns == ("id",):
        return True
    ties = order[-2:] if len(order) == 3 else order[-1:]
    return len(order) <= 3 and columns[-2:] == _TIES and len({key.descending for key in ties}) == 1


def ranges(order: Sequence[SortKey], marker: MarkerNulls) -> list[Range]:
    """The ranges that make up a list in this order, or what follows its marker, one after the other."""
    if marker is None:
        return _from_start(order)
    found: list[Range] = []
    for position in reversed(range(len(order))):
        level = tuple([_level(order[before], before, is_null=marker[before]) for before in range(position)])
        for part in _beyond(order, position, is_null=marker[position]):
            # only the first key of an index can be NULL
            null = order[0].column if position and marker[0] else part.null
            found.append(Range((*level, *part.conditions), part.order, null))
    return found


def _from_start(order: Sequence[SortKey]) -> list[Range]:
    key, *rest = order
    column = images.c[key.column]
    if not column.nullable:
        return [Range((), tuple(order))]
    found = [Range((column.is_not(None),), tuple(order)), Range((column.is_(None),), tuple(rest), key.column)]
    return found if key.descending else found[::-1]


def _level(key: SortKey, position: int, *, is_null: bool) -> Condition:
    column = images.c[key.column]
    return column.is_(None) if is_null else column == _value(column, position)


def _beyond(order: Sequence[SortKey], position: int, *, is_null: bool) -> list[Range]:
    rest = tuple(order[position:])
    key, column = rest[0], images.c[rest[0].column]
    if is_null:
        return [] if key.descending else [Range((column.is_not(None),), rest)]
    value = _value(column, position)
    if not key.descending:
        return [Range((column > value,), rest)]
    smaller = Range((column < value,), rest)
    return [smaller, Range((column.is_(None),), rest[1:], key.column)] if column.nullable else [smaller]


def _value(column: sa.Column[Any], position: int) -> sa.BindParameter[Any]:
    return sa.bindparam(marker_name(position), type_=column.type)


def heads(
    conditions: Sequence[Condition], order: Sequence[SortKey], part: Range, dialect: str, index: str | None
) -> list[Any]:
    """SELECTs of the keys of ``order`` that together hold the first rows of a range; they may overlap.

    ``index`` is the one to use on MySQL, which otherwise chooses.
    """

    def rows(*more: Condition, columns: Sequence[sa.Column[Any]]) -> sa.Select[Any]:
        found = sa.select(*columns).where(*conditions, *more)
        return found.with_hint(images, f"USE INDEX ({index})", "mysql") if index else found

    keys = [images.c[key.column] for key in order]
    if not part.turns:
        # PostgreSQL does not see that a key that is NULL orders nothing, the others do
        known = [SortKey(part.null, part.order[0].descending)] if part.null and dialect == "postgresql" else []
        return [rows(*part.conditions, columns=keys).order_by(*_terms([*known, *part.order])).limit(LIMIT)]
    first = images.c[part.order[0].column]
    straight = _terms([SortKey(key.column, part.order[0].descending) for key in part.order])
    last = rows(*part.conditions, columns=[first]).order_by(*straight).limit(1).offset(LAST)
    return [
        rows(*part.conditions, columns=keys).order_by(*straight).limit(LIMIT),
        rows(first == last.scalar_subquery(), columns=keys).order_by(*_terms(part.order[1:])).limit(LIMIT),
    ]


def _terms(order: Sequence[SortKey]) -> list[sa.ColumnElement[Any]]:
    columns = [(images.c[key.column], key.descending) for key in order]
    return [column.desc() if descending else column.asc() for column, descending in columns]
