"""Build the SELECT of one page of a list. It depends only on the shape of a request, so few are built and compiled."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.sql.operators import custom_op

from glimpse.db.sql.exact_comparison import differs, equals, is_one_of
from glimpse.db.sql.index_hints import PRIMARY, advise, order, use_index
from glimpse.db.sql.index_ranges import LIMIT, Condition, heads, ranges
from glimpse.db.sql.keyset import after_marker, order_by
from glimpse.db.sql.reading import IMAGE_COLUMNS
from glimpse.db.sql.row_state import is_hidden, is_live, is_shown
from glimpse.db.sql.tables import image_members, images
from glimpse.db.sql.tag_property_filters import NO_LIMIT, TagPropertyFilter, Use
from glimpse.db.sql.visibility import INDEXED_KEYS, Lane, ListScope
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
_EXACT: dict[str, Callable[[Any, Any], Any]] = {"eq": equals, "neq": differs}
# Columns with their own index where a value matches few images.
_RARE = frozenset({"id", "checksum", "os_hash_value"})


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A list request without its values: requests of the same shape run the same statement.

    ``marker_nulls`` says for each sort key whether the marker's value is NULL; None without a marker.
    """

    scope: ListScope
    os_hidden: bool
    comparisons: tuple[tuple[str, str], ...]
    one_of: tuple[str, ...]
    tag_property_filters: tuple[TagPropertyFilter, ...]
    use: Use
    order: tuple[SortKey, ...]
    marker_nulls: tuple[bool, ...] | None


@lru_cache(maxsize=256)
def page_statement(shape: Shape, dialect: str, *, hints: bool = True) -> sa.Select[*tuple[Any, ...]]:
    """Return the SELECT of a page of this shape for this database.

    Its parameters are ``comparison_N``, ``one_of_N``, ``marker_N``, ``limit``, ``last`` (``limit`` - 1) and those of
    ``tag_property_filters.py`` and ``visibility.py``.

    A subquery first finds the sort keys of the images on the page, with index-only reads where the filters allow it.
    With ``hints`` the statement names the indexes for MySQL and SQLite, which refuse it if one is missing.
    """
    found: list[Any] = []
    for lane in lanes(shape, dialect):
        conditions = (
            *lane.conditions,
            *filters(shape),
            *tag_property_conditions(shape, dialect, in_set=bool(lane.indexes), hints=hints),
        )
        for part in heads_of(lane, conditions, shape, dialect, hints=hints):
            found += part
    return rows_of(found, shape, dialect)


def heads_of(
    lane: Lane, conditions: Sequence[Condition], shape: Shape, dialect: str, *, hints: bool
) -> Iterator[list[sa.Select[*tuple[Any, ...]]]]:
    """Yield the SELECTs of the sort keys of a lane's first images, one list for each range, in the order of the list.

    A lane that is not read in index order is a single range.
    """
    if not _followed(lane, shape):
        yield [_gathered(lane, conditions, shape, dialect, hints=hints)]
        return
    index = _index(lane, shape) if hints else None
    for part in ranges(shape.order, shape.marker_nulls):
        yield heads(conditions, shape.order, part, dialect, index)


def rows_of(found: Sequence[Any], shape: Shape, dialect: str) -> sa.Select[*tuple[Any, ...]]:
    """Return the SELECT of the first images that these SELECTs of sort keys find, in order."""
    page = first_of(found, shape, dialect).subquery("page")
    return (
        order(sa.select(*IMAGE_COLUMNS), images, PRIMARY)
        .select_from(page.join(images, images.c.id == page.c.id))
        .order_by(*order_by(shape.order, state_nulls=dialect == "postgresql"))
    )


def first_of(found: Sequence[Any], shape: Shape, dialect: str) -> sa.Select[*tuple[Any, ...]]:
    """Return the SELECT of the sort keys of the first images that these SELECTs find, in order.

    Several of them may find the same image.
    """
    if len(found) == 1:
        return found[0]
    every = cast("sa.Table", sa.union(*[sa.select(part.subquery()) for part in found]).subquery("found"))
    keys = [every.c[column] for column in key_columns(shape.order)]
    return (
        sa.select(*keys).order_by(*order_by(shape.order, state_nulls=dialect == "postgresql", table=every)).limit(LIMIT)
    )


def key_columns(order: Sequence[SortKey]) -> list[str]:
    """Return the columns of an order without duplicates, and the id."""
    return list(dict.fromkeys([*(key.column for key in order), "id"]))


def lanes(shape: Shape, dialect: str) -> Sequence[Lane]:
    """Return the lanes that together contain all images of the list."""
    if shape.use.few is not None:
        source = shape.use.few.few_images(dialect)
        return [Lane((shape.scope.condition(),), source=source.join(images, images.c.id == source.c.image_id))]
    equal = {column for column, op in shape.comparisons if op == "eq"}
    if not _RARE.isdisjoint(equal | set(shape.one_of)):
        return [shape.scope.lane_of_filtered()]
    if shape.scope.is_admin and "owner" in equal:
        return [shape.scope.lane_of_owner()]
    return shape.scope.lanes()


def _followed(lane: Lane, shape: Shape) -> bool:
    """Tell whether a lane is read in the order of an index, by the first key. Otherwise all its images are read."""
    return shape.order[0].column in lane.indexes and not _has_index_by_name(shape)


def _has_index_by_name(shape: Shape) -> bool:
    # few images share a name; the index by name has them together, ordered by creation time
    return ("name", "eq") in shape.comparisons and shape.order[0].column not in {"name", "created_at"}


def _index(lane: Lane, shape: Shape) -> str | None:
    """Return the index to read a lane by; None if another one may suit the filters better: the database chooses then.

    Without a hint MySQL reads all images of the owner where a range has more than half of the table.
    """
    key = shape.order[0].column
    if (_filtered(shape) - {key}).isdisjoint(INDEXED_KEYS):
        return lane.indexes[key]
    if key == "created_at" and not shape.one_of:
        # an index by owner and another column orders the images with the same value by creation time
        match shape.comparisons:
            case ((column, "eq"),):
                return lane.indexes.get(column)
            case _:
                pass
    return None


def _filtered(shape: Shape) -> set[str]:
    return {column for column, _ in shape.comparisons} | set(shape.one_of)


def _gathered(
    lane: Lane, conditions: Sequence[Condition], shape: Shape, dialect: str, *, hints: bool
) -> sa.Select[*tuple[Any, ...]]:
    """Return the SELECT of the sort keys of a lane's first images, for a lane that is read completely and sorted."""
    by_name = _has_index_by_name(shape) and "name" in lane.indexes
    index = _index_to_gather(lane, shape, by_name=by_name) if hints else None
    rows = sa.select(*[images.c[column] for column in key_columns(shape.order)])
    if shape.tag_property_filters and by_name and dialect == "mysql":
        # it would read each image from the table before checking tags or properties; the index has all other columns
        left = sa.select(images.c.id).where(*conditions).limit(NO_LIMIT)
        left_over = (advise(left, images, index) if index else left).subquery("left_over")
        rows = rows.select_from(left_over.join(images, images.c.id == left_over.c.id))
        conditions, index = (), None
    else:
        rows = rows.select_from(lane.source)
    if shape.marker_nulls is not None:
        # before tags and properties, which are the slowest: MariaDB checks conditions in the order of the statement
        rows = rows.where(after_marker(shape.order, shape.marker_nulls))
    rows = rows.where(*conditions)
    if index:
        rows = order(rows, images, index) if index == PRIMARY else use_index(rows, images, index)
    if hints and lane.source is not images and shape.use.few is None:
        rows = order(rows, image_members, "glimpse_image_members_member")
    if dialect == "sqlite" and (by_name or shape.order[0].column not in lane.indexes):
        return rows.order_by(*_as_expressions(shape.order)).limit(LIMIT)
    return rows.order_by(*order_by(shape.order, state_nulls=dialect == "postgresql")).limit(LIMIT)


def _index_to_gather(lane: Lane, shape: Shape, *, by_name: bool) -> str | None:
    """Return the index to read all images of a lane by; None if the database may know a better one."""
    if by_name:
        return lane.indexes["name"]
    if lane.source is not images:
        return PRIMARY
    if lane.is_of_visibility or (_filtered(shape) - {"created_at"}).isdisjoint(INDEXED_KEYS):
        # this index contains the sort keys that have no index of their own
        return lane.indexes.get("created_at")
    return None


def _as_expressions(order: Sequence[SortKey]) -> list[sa.ColumnElement[Any]]:
    # SQLite does not know how few images the lane has, and would read all images in the order of an index
    plus: custom_op[Any] = custom_op("+")
    columns: list[sa.UnaryExpression[Any]] = [sa.UnaryExpression(images.c[key.column], operator=plus) for key in order]
    return [column.desc() if key.descending else column.asc() for column, key in zip(columns, order, strict=True)]


def filters(shape: Shape) -> list[Condition]:
    """Return the conditions that every image of the list meets, except tags and properties."""
    return [
        is_live(images, by_index=True),
        *(images.c.status != sa.literal_column(f"'{status}'", sa.String()) for status in sorted(UNLISTED)),
        is_hidden(images) if shape.os_hidden else is_shown(images),
        *(_comparison(column, op, position) for position, (column, op) in enumerate(shape.comparisons)),
        *(
            _is_one_of(column, sa.bindparam(f"one_of_{position}", expanding=True))
            for position, column in enumerate(shape.one_of)
        ),
    ]


def tag_property_conditions(shape: Shape, dialect: str, *, in_set: bool, hints: bool) -> list[Condition]:
    """Return the conditions for tags and properties; ``in_set``: so many images are checked that a set may pay off."""
    many = shape.use.many if in_set else None
    return [
        one.in_set(dialect) if one == many else one.on_image(dialect, hints=hints)
        for one in sorted(shape.tag_property_filters, key=lambda one: one != many)
        if one != shape.use.few
    ]


def _comparison(name: str, op: str, position: int) -> Condition:
    column = images.c[name]
    # a number that is too large for the column is still compared as a number
    kind = sa.BigInteger() if isinstance(column.type, sa.Integer) else column.type
    compare = _EXACT.get(op, _OPERATORS[op]) if _is_exact(column) else _OPERATORS[op]
    return compare(column, sa.bindparam(f"comparison_{position}", type_=kind))


def _is_one_of(name: str, values: sa.BindParameter[Any]) -> Condition:
    column = images.c[name]
    return is_one_of(column, values) if _is_exact(column) else column.in_(values)


def _is_exact(column: sa.Column[Any]) -> bool:
    # ids are compared by the database's own rules (images-api 0.4)
    return isinstance(column.type, sa.String) and not column.primary_key
