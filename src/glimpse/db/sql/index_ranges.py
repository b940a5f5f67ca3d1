"""A page as the heads of ranges of an index, so that the last page of a list costs what the first one does.

The indexes on ``images`` end with a key, ``created_at`` and ``id``, behind the owner or the visibility. Such an index
is read in both directions. What follows a marker is one range in it for each key of the order: the rows that are
equal in all keys before this one, and beyond the marker in it. NULL, which is smaller than any value, is a range of
its own: no database reads ``key < value OR key IS NULL`` as one.

Where an order goes on in another way than the index, with other keys or in another direction, the first rows of a range
may be cut out of the middle of a group of equal keys. So the head of that group is read as well, in its own order
(:attr:`Range.departs`): that costs as much as the group is large.
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

#: What the marker of a list is: NULL or not, by key of the order; None without a marker.
MarkerNulls = Sequence[bool] | None

#: Parameters: the rows of a page, and one less.
LIMIT = sa.bindparam("limit", type_=sa.Integer())
LAST = sa.bindparam("last", type_=sa.Integer())

_TIES = ("created_at", "id")


class Range(msgspec.Struct, frozen=True):
    """Rows of a list that have their first keys in common, and lie together in an index if these are its own.

    ``equal`` says what they have in common, ``beyond`` where they begin. ``order`` is what is left to sort them by,
    ``index`` the columns that the index has left, none where they are not together in it. ``null`` is NULL in all of
    them. ``known``: the first key of ``order`` is not NULL in any.
    """

    equal: tuple[Condition, ...]
    beyond: tuple[Condition, ...]
    order: tuple[SortKey, ...]
    index: tuple[str, ...]
    null: str | None = None
    known: bool = True

    @property
    def follows(self) -> bool:
        """Whether the index has the rows in their order."""
        columns = tuple([key.column for key in self.order])
        return columns == self.index and len({key.descending for key in self.order}) == 1

    @property
    def departs(self) -> bool:
        """Whether the index has them in the order of the first key, and then in another one."""
        return not self.follows and self.index[:1] == (self.order[0].column,)


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
    """Rows that are equal in the keys before this position, and not NULL in the one at it."""
    return Range((), () if beyond is None else (beyond,), tuple(order[position:]), _left_of_index(order, position))


def _nulls(order: Sequence[SortKey], position: int) -> Range:
    """Rows that are equal in the keys before this position, and NULL in the one at it."""
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
    """SELECTs of the keys of ``order`` that together hold the first rows of a range; they may overlap.

    ``index`` is the one to use on MySQL and SQLite, which otherwise choose.
    """

    def rows(*more: Condition, columns: Sequence[sa.Column[Any]], has_order: bool = True) -> sa.Select[Any]:
        found = sa.select(*columns).where(*conditions, *part.equal, *more)
        if not index:
            return found
        # where this index lacks keys of the order MySQL may know a better one, SQLite does not
        return use_index(found, images, index) if has_order else order_index(found, images, index)

    keys = [images.c[key.column] for key in order]
    first = part.order[0]
    if not part.follows and not part.departs:
        return [rows(*part.beyond, columns=keys, has_order=False).order_by(*_terms(part, dialect)).limit(LIMIT)]
    # PostgreSQL does not see that a key that is NULL orders nothing, the others do
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
    # said of a key without NULLs, it would keep PostgreSQL from an index
    return [_term(part.order[0].column, part.order[0].descending), *_after_first(part.order, dialect)]


def _after_first(order: Sequence[SortKey], dialect: str) -> list[sa.ColumnElement[Any]]:
    return order_by(order[1:], state_nulls=dialect == "postgresql")


def _term(name: str, descending: bool) -> sa.ColumnElement[Any]:
    return images.c[name].desc() if descending else images.c[name].asc()
