"""Read a page from ranges of an index, so that the last page of a list costs the same as the first one.

The indexes on ``images`` have the owner or the visibility first, then a sort key, ``created_at`` and ``id``. Databases
read them in both directions. The rows after a marker are one index range for each sort key: rows that equal the marker
in all keys before this one and come after it in this one. NULL, which sorts before every value, is a separate range,
because no database reads ``key < value OR key IS NULL`` as one range.

If the order differs from the index after the first key, in its keys or its direction, the page may end within a group
of rows whose first keys are equal. The start of that group is then read in the order of the list as well
(:attr:`Range.departs`); the cost depends on the size of the group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from glimpse.db.sql.index_hints import order as order_index
from glimpse.db.sql.index_hints import use_index
from glimpse.db.sql.keyset import marker_name, order_by
from glimpse.db.sql.tables import images
from glimpse.domain.listing import SortKey

Condition = sa.ColumnElement[bool]

#: For each sort key, whether the marker's value is NULL; None without a marker.
MarkerNulls = Sequence[bool] | None

#: Parameters: the number of rows of a page, and that number minus one.
LIMIT = sa.bindparam("limit", type_=sa.Integer())
LAST = sa.bindparam("last", type_=sa.Integer())

_TIES = ("created_at", "id")


class Range(msgspec.Struct, frozen=True):
    """Rows of a list with equal first sort keys; contiguous in an index that begins with these keys.

    ``equal`` are the conditions on the equal keys, ``beyond`` those on the start of the range. ``order`` are the
    remaining sort keys, ``index`` the remaining columns of the index; empty if the rows are not contiguous in it.
    ``null`` is a column that is NULL in all rows. ``known``: the first key of ``order`` is never NULL.
    """

    equal: tuple[Condition, ...]
    beyond: tuple[Condition, ...]
    order: tuple[SortKey, ...]
    index: tuple[str, ...]
    null: str | None = None
    known: bool = True

    @property
    def follows(self) -> bool:
        """Tell whether the index has the rows in the order of the list."""
        columns = tuple([key.column for key in self.order])
        return columns == self.index and len({key.descending for key in self.order}) == 1

    @property
    def departs(self) -> bool:
        """Tell whether the order of the index agrees with that of the list in the first key only."""
        return not self.follows and self.index[:1] == (self.order[0].column,)


def ranges(order: Sequence[SortKey], marker: MarkerNulls) -> list[Range]:
    """Return the ranges of a list in this order, first to last: all of it, or the part after the marker."""
    if marker is None:
        return _from_start(order)
    found: list[Range] = []
    for position in reversed(range(len(order))):
        level = tuple([_level(order[before], before, is_null=marker[before]) for before in range(position)])
        for part in _beyond(order, position, is_null=marker[position]):
            # only the first key of an index can be NULL
            null = order[0].column if position and marker[0] else part.null
            found.append(msgspec.structs.replace(part, equal=(*level, *part.equal), null=null))
    return found


def _from_start(order: Sequence[SortKey]) -> list[Range]:
    column = images.c[order[0].column]
    if not column.nullable:
        return [_range(None, order, 0)]
    found = [_range(column.is_not(None), order, 0), _nulls(order, 0)]
    return found if order[0].descending else found[::-1]


def _level(key: SortKey, position: int, *, is_null: bool) -> Condition:
    column = images.c[key.column]
    return column.is_(None) if is_null else column == _value(column, position)


def _beyond(order: Sequence[SortKey], position: int, *, is_null: bool) -> list[Range]:
    key, column = order[position], images.c[order[position].column]
    if is_null:
        return [] if key.descending else [_range(column.is_not(None), order, position)]
    value = _value(column, position)
    if not key.descending:
        return [_range(column > value, order, position)]
    smaller = _range(column < value, order, position)
    return [smaller, _nulls(order, position)] if column.nullable else [smaller]


def _range(beyond: Condition | None, order: Sequence[SortKey], position: int) -> Range:
    """Return the range of rows with equal keys before this position and a key at it that is not NULL."""
    return Range((), () if beyond is None else (beyond,), tuple(order[position:]), _left_of_index(order, position))


def _nulls(order: Sequence[SortKey], position: int) -> Range:
    """Return the range of rows with equal keys before this position and NULL at it."""
    key = order[position].column
    left = tuple(order[position + 1 :])
    known = not images.c[left[0].column].nullable
    return Range((images.c[key].is_(None),), (), left, _left_of_index(order, position + 1), key, known)


def _left_of_index(order: Sequence[SortKey], position: int) -> tuple[str, ...]:
    first = order[0].column
    columns = (first,) if first == "id" else tuple(dict.fromkeys((first, *_TIES)))
    equal = tuple([key.column for key in order[:position]])
    return columns[position:] if columns[:position] == equal else ()


def _value(column: sa.Column[Any], position: int) -> sa.BindParameter[Any]:
    return sa.bindparam(marker_name(position), type_=column.type)


def heads(
    conditions: Sequence[Condition], order: Sequence[SortKey], part: Range, dialect: str, index: str | None
) -> list[Any]:
    """Return SELECTs of the sort keys that together find the first rows of a range; they may overlap.

    ``index`` is the index for MySQL and SQLite to use; with None they choose.
    """

    def rows(*more: Condition, columns: Sequence[sa.Column[Any]], has_order: bool = True) -> sa.Select[Any]:
        found = sa.select(*columns).where(*conditions, *part.equal, *more)
        if not index:
            return found
        # if this index lacks sort keys, MySQL may know a better one, SQLite does not
        return use_index(found, images, index) if has_order else order_index(found, images, index)

    keys = [images.c[key.column] for key in order]
    first = part.order[0]
    if not part.follows and not part.departs:
        return [rows(*part.beyond, columns=keys, has_order=False).order_by(*_terms(part, dialect)).limit(LIMIT)]
    # unlike the others, PostgreSQL does not know that a key that is NULL in all rows does not affect the order
    known = [part.null] if part.null and dialect == "postgresql" else []
    straight = [_term(column, first.descending) for column in (*known, *part.index)]
    head = rows(*part.beyond, columns=keys).order_by(*straight).limit(LIMIT)
    if part.follows:
        return [head]
    column = images.c[first.column]
    last = rows(*part.beyond, columns=[column]).order_by(*straight).limit(1).offset(LAST).scalar_subquery()
    group = rows(column == last, columns=keys, has_order=len(part.order) == len(part.index))
    return [head, group.order_by(*_after_first(part.order, dialect)).limit(LIMIT)]


def _terms(part: Range, dialect: str) -> list[sa.ColumnElement[Any]]:
    if not part.known:
        return order_by(part.order, state_nulls=dialect == "postgresql")
    # NULLS FIRST or LAST on a key without NULLs would keep PostgreSQL from using an index
    return [_term(part.order[0].column, part.order[0].descending), *_after_first(part.order, dialect)]


def _after_first(order: Sequence[SortKey], dialect: str) -> list[sa.ColumnElement[Any]]:
    return order_by(order[1:], state_nulls=dialect == "postgresql")


def _term(name: str, descending: bool) -> sa.ColumnElement[Any]:
    return images.c[name].desc() if descending else images.c[name].asc()
