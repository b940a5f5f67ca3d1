"""The statement of a page. It depends only on the shape of a request, so that few are built and compiled."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.sql.operators import custom_op

from glimpse.db.sql.index_ranges import LIMIT, Condition, heads, in_index_order, ranges
from glimpse.db.sql.keyset import after_marker, order_by
from glimpse.db.sql.marks import Mark
from glimpse.db.sql.reading import IMAGE_COLUMNS
from glimpse.db.sql.tables import images
from glimpse.db.sql.visibility import Lane, ListScope
from glimpse.domain.listing import SortKey
from glimpse.domain.status import UNLISTED

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
# Columns with an index of their own, of which one value belongs to few images.
_RARE = frozenset({"id", "checksum", "os_hash_value"})


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A list request without its values: two requests of one shape run the same statement.

    ``marker_nulls`` is None without a marker, else tells at which keys of the order the marker is NULL. ``few`` is
    the mark (see ``marks.py``) whose images are looked through; without it the order is followed.
    """

    scope: ListScope
    os_hidden: bool
    comparisons: tuple[tuple[str, str], ...]
    one_of: tuple[str, ...]
    marks: tuple[Mark, ...]
    few: Mark | None
    order: tuple[SortKey, ...]
    marker_nulls: tuple[bool, ...] | None


@lru_cache(maxsize=256)
def page_statement(shape: Shape, dialect: str, *, hints: bool = True) -> sa.Select[*tuple[Any, ...]]:
    """The page of this shape, on this kind of database. Values are the parameters ``comparison_N``, ``one_of_N``,
    ``marker_N``, ``limit``, ``last`` (one less) and those of ``marks.py`` and ``visibility.py``.

    The keys of the images on the page are found first, in indexes alone where the filters allow it. With ``hints``
    MySQL is told by which, and refuses the statement where the index is not there.
    """
    nulls = dialect == "postgresql"
    filters = _filters(shape, dialect)
    found: list[Any] = []
    for lane in _lanes(shape, dialect):
        conditions = (*lane.conditions, *filters)
        if shape.order[0].column in lane.indexes and in_index_order(shape.order):
            index = _index(lane, shape) if hints else None
            for part in ranges(shape.order, shape.marker_nulls):
                found += heads(conditions, shape.order, part, index)
        else:
            found.append(_gathered(lane, conditions, shape, dialect))
    if len(found) > 1:
        # an image may be in several lanes
        every = cast("sa.Table", sa.union(*[sa.select(part.subquery()) for part in found]).subquery("found"))
        page = sa.select(every.c.id).order_by(*order_by(shape.order, state_nulls=nulls, table=every)).limit(LIMIT)
    else:
        page = found[0]
    page = page.subquery("page")
    return (
        sa.select(*IMAGE_COLUMNS)
        .select_from(page.join(images, images.c.id == page.c.id))
        .order_by(*order_by(shape.order, state_nulls=nulls))
    )


def _lanes(shape: Shape, dialect: str) -> Sequence[Lane]:
    if shape.few is not None:
        source = shape.few.few_images(dialect)
        return [Lane((shape.scope.condition(),), source=source.join(images, images.c.id == source.c.image_id))]
    equal = {column for column, op in shape.comparisons if op == "eq"}
    if not _RARE.isdisjoint(equal | set(shape.one_of)):
        return [shape.scope.lane_of_filtered()]
    if shape.scope.is_admin and "owner" in equal:
        return [shape.scope.lane_of_owner()]
    return shape.scope.lanes(shape.order[0].column)


def _index(lane: Lane, shape: Shape) -> str | None:
    """The index for a lane, unless filters may be better served by another one, which the database chooses then.

    Without being told MySQL takes a range of more than half the table for all that has the same owner.
    """
    key = shape.order[0].column
    if not shape.comparisons and not shape.one_of:
        return lane.indexes[key] or None
    if key == "created_at" and not shape.one_of:
        # an index by owner and another column has the images with one value of that in the order of their time
        match shape.comparisons:
            case ((column, "eq"),):
                return lane.indexes.get(column)
            case _:
                pass
    return None


def _gathered(lane: Lane, conditions: Sequence[Condition], shape: Shape, dialect: str) -> sa.Select[*tuple[Any, ...]]:
    columns = [images.c[column] for column in dict.fromkeys([*(key.column for key in shape.order), "id"])]
    rows = sa.select(*columns).select_from(lane.source).where(*conditions)
    if shape.marker_nulls is not None:
        rows = rows.where(after_marker(shape.order, shape.marker_nulls))
    if dialect == "sqlite" and shape.order[0].column not in lane.indexes:
        return rows.order_by(*_as_expressions(shape.order)).limit(LIMIT)
    return rows.order_by(*order_by(shape.order, state_nulls=dialect == "postgresql")).limit(LIMIT)


def _as_expressions(order: Sequence[SortKey]) -> list[sa.ColumnElement[Any]]:
    # SQLite does not know how few a lane has, and would follow the order of an index through all other images
    plus: custom_op[Any] = custom_op("+")
    columns: list[sa.UnaryExpression[Any]] = [sa.UnaryExpression(images.c[key.column], operator=plus) for key in order]
    return [column.desc() if key.descending else column.asc() for column, key in zip(columns, order, strict=True)]


def _filters(shape: Shape, dialect: str) -> list[Condition]:
    return [
        images.c.deleted == sa.false(),
        *(images.c.status != sa.literal_column(f"'{status}'", sa.String()) for status in sorted(UNLISTED)),
        images.c.os_hidden == (sa.true() if shape.os_hidden else sa.false()),
        *(_comparison(column, op, position) for position, (column, op) in enumerate(shape.comparisons)),
        *(
            images.c[column].in_(sa.bindparam(f"one_of_{position}", expanding=True))
            for position, column in enumerate(shape.one_of)
        ),
        *(mark.on_image(dialect) for mark in shape.marks if mark != shape.few),
    ]


def _comparison(name: str, op: str, position: int) -> Condition:
    column = images.c[name]
    # a number that is too large for the column is still a number to compare with
    kind = sa.BigInteger() if isinstance(column.type, sa.Integer) else column.type
    return _OPERATORS[op](column, sa.bindparam(f"comparison_{position}", type_=kind))
