"""List images: one statement each for the marker, for the page, and for the rows of other tables about its images.

Filters by tags and properties (``tag_property_filters.py``) need more statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from glimpse.db.records import Viewer
from glimpse.db.sql.driver_errors import misses_index
from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.index_hints import force_index, name_no_index
from glimpse.db.sql.keyset import marker_name
from glimpse.db.sql.list_statement import Shape, page_statement
from glimpse.db.sql.own_images_first import own_images_first
from glimpse.db.sql.reading import Children, build, children, gather, sees
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import image_members, images
from glimpse.db.sql.tag_property_filters import (
    TagPropertyFilter,
    estimate,
    sample_of_all,
    tag_property_filters_of,
    use_of,
)
from glimpse.db.sql.texts import storable
from glimpse.db.sql.visibility import INDEXED_KEYS, PROJECT, ListScope
from glimpse.domain.image import Image
from glimpse.domain.listing import SORT_KEYS, ListQuery, SortKey
from glimpse.domain.status import Visibility
from glimpse.errors import Forbidden, MarkerUnknown

_SORT_COLUMNS = sorted(SORT_KEYS)
_LARGEST = 2**63 - 1

# including deleted images, whose rows stay until they are purged
_ANY_MARKER: sa.Select[*tuple[Any, ...]] = sa.select(
    sa.type_coerce(images.c.visibility, sa.String).label("visibility"),
    images.c.owner,
    sa.select(sa.func.min(image_members.c.status))
    .where(
        image_members.c.image_id == images.c.id,
        equals(image_members.c.member, PROJECT),
        is_live(image_members),
    )
    .scalar_subquery()
    .label("membership"),
    *(images.c[column] for column in _SORT_COLUMNS),
).where(images.c.id == sa.bindparam("marker"))
_MARKER = _ANY_MARKER.where(is_live(images))


def _on_page(image_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return image_id.in_(sa.bindparam("ids", expanding=True))


# without ORDER BY: to sort, MariaDB would write the long texts to a temporary table on disk
_CHILDREN = children(_on_page, PROJECT, force_index)
_CHILDREN_WITHOUT_HINTS = children(_on_page, PROJECT, name_no_index)
_BY_ROW_ID = itemgetter(2)
_BY_LAST = itemgetter(-1)


def list_images(connection: Connection, query: ListQuery, viewer: Viewer) -> list[Image]:
    """See :meth:`glimpse.db.base.Database.list_images`. A page of 0 images runs no statement."""
    if query.limit <= 0:
        return []
    values = _values(query, viewer)
    marker = _marker(connection, query, viewer)
    scope = ListScope.of(viewer, query.visibility, query.member_status)
    if values is None or scope.is_empty:
        return []
    asked = tag_property_filters_of(query)
    numbers, images_in_all = _numbers(connection, asked, values)
    if 0 in numbers:
        return []
    order = _up_to_id(query.order)
    asks_all = order[0].column not in INDEXED_KEYS and not query.comparisons and not query.one_of
    shape = Shape(
        scope=scope,
        os_hidden=query.os_hidden,
        comparisons=tuple([(comparison.column, comparison.op) for comparison in query.comparisons]),
        one_of=tuple([one_of.column for one_of in query.one_of]),
        tag_property_filters=asked,
        use=use_of(asked, numbers, images_in_all, connection.dialect.name, asks_all=asks_all),
        order=order,
        marker_nulls=None if marker is None else tuple([marker[key.column] is None for key in order]),
    )
    if marker is not None:
        values |= {marker_name(position): marker[key.column] for position, key in enumerate(order)}
    rows = _page(connection, shape, values)
    if not rows:
        return []
    parts = {row[0]: Children() for row in rows}
    found = _children(connection, {"ids": list(parts), "project": viewer.project_id})
    gather(sorted(found, key=_BY_ROW_ID), parts)
    return [build(row, parts[row[0]]) for row in rows]


def _children(connection: Connection, values: dict[str, Any]) -> Sequence[Sequence[Any]]:
    try:
        return connection.execute(_CHILDREN, values).fetchall()
    except DBAPIError as error:
        if not misses_index(error):
            raise
        return connection.execute(_CHILDREN_WITHOUT_HINTS, values).fetchall()


def _page(connection: Connection, shape: Shape, values: dict[str, Any]) -> Sequence[Sequence[Any]]:
    try:
        return _rows(connection, shape, values, hints=True)
    except DBAPIError as error:
        if not misses_index(error):
            raise
        # the index was dropped: lists are slow without it, but they work
        return _rows(connection, shape, values, hints=False)


def _rows(connection: Connection, shape: Shape, values: dict[str, Any], *, hints: bool) -> Sequence[Sequence[Any]]:
    rows = own_images_first(connection, shape, values, hints=hints) if shape.tag_property_filters else None
    if rows is not None:
        return rows
    return connection.execute(page_statement(shape, connection.dialect.name, hints=hints), values).fetchall()


def _up_to_id(order: Sequence[SortKey]) -> tuple[SortKey, ...]:
    # ids are unique, so keys after the id have no effect, and neither has a repeated key
    columns = {key.column: key for key in reversed(order)}
    first = [key for key in order if columns[key.column] is key]
    return tuple(first[: [key.column for key in first].index("id") + 1])


def _values(query: ListQuery, viewer: Viewer) -> dict[str, Any] | None:
    """Return the parameters of a request; None if a string cannot be stored in any row, so that nothing matches."""
    values: dict[str, Any] = {
        "limit": query.limit,
        "last": query.limit - 1,
        "project": viewer.project_id,
        "member_status": query.member_status,
    }
    for position, comparison in enumerate(query.comparisons):
        values[f"comparison_{position}"] = _in_range(comparison.value)
    for position, tag in enumerate(query.tags):
        values[f"tag_{position}"] = tag
    for position, (name, value) in enumerate(query.properties):
        values[f"property_{position}"] = name
        values[f"value_{position}"] = value
    if not storable("".join([value for value in values.values() if isinstance(value, str)])):
        return None
    for position, one_of in enumerate(query.one_of):
        values[f"one_of_{position}"] = [value for value in one_of.values if storable(value)]
    return values


def _in_range(value: Any) -> Any:
    # a number outside 64 bits compares like the largest or smallest one, which no image has as its size
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, -_LARGEST), _LARGEST)
    return value


def _marker(connection: Connection, query: ListQuery, viewer: Viewer) -> dict[str, Any] | None:
    """Return the marker's value of each sort key; None without a marker.

    :raises MarkerUnknown: there is no such image, or it is deleted and the viewer is not an administrator.
    :raises Forbidden: the image is not visible to the viewer.
    """
    if query.marker is None:
        return None
    row: Any = None
    if len(query.marker) <= 36 and storable(query.marker):
        # as in Glance, an administrator's list continues after a deleted image (images-api 3.4.1)
        statement = _ANY_MARKER if viewer.is_admin else _MARKER
        row = connection.execute(statement, {"marker": query.marker, "project": viewer.project_id}).fetchone()
    if row is None:
        raise MarkerUnknown(f"The marker {query.marker} does not refer to an image.")
    visibility, owner, membership = row[:3]
    if not sees(viewer, Visibility(visibility), owner, membership):
        raise Forbidden("The marker refers to an image that is not visible to you.")
    return dict(zip(_SORT_COLUMNS, row[3:], strict=True))


def _numbers(
    connection: Connection, asked: tuple[TagPropertyFilter, ...], values: dict[str, Any]
) -> tuple[list[float], float]:
    """Estimate how many images match each indexed filter (0 is exact), and how many images there are."""
    sampled = tuple([one for one in asked if one.is_indexed])
    if not sampled:
        return [], 0
    found = connection.execute(_samples(sampled, connection.dialect.name), values).fetchall()
    *numbers, in_all = [estimate(rows, last) for rows, last, _ in sorted(found, key=_BY_LAST)]
    return numbers, in_all


@lru_cache(maxsize=64)
def _samples(sampled: tuple[TagPropertyFilter, ...], dialect: str) -> sa.CompoundSelect[*tuple[Any, ...]]:
    parts = [*(one.sample(dialect) for one in sampled), sample_of_all()]
    return sa.union_all(
        *[part.add_columns(sa.literal_column(str(number), sa.Integer())) for number, part in enumerate(parts)]
    )
