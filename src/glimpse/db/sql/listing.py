"""Lists of images: the marker, the page, and all that belongs to its images, one statement each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.base import Viewer
from glimpse.db.sql.keyset import marker_name
from glimpse.db.sql.list_statement import Shape, page_statement
from glimpse.db.sql.reading import Children, build, children, gather, sees
from glimpse.db.sql.tables import image_members, images
from glimpse.db.sql.texts import storable
from glimpse.db.sql.visibility import PROJECT, ListScope
from glimpse.domain.image import Image
from glimpse.domain.listing import SORT_KEYS, ListQuery
from glimpse.domain.status import Visibility
from glimpse.errors import Forbidden, MarkerUnknown

_SORT_COLUMNS = sorted(SORT_KEYS)
_LARGEST = 2**63 - 1

_MARKER: sa.Select[*tuple[Any, ...]] = sa.select(
    sa.type_coerce(images.c.visibility, sa.String).label("visibility"),
    images.c.owner,
    sa.select(sa.func.min(image_members.c.status))
    .where(
        image_members.c.image_id == images.c.id,
        image_members.c.member == PROJECT,
        image_members.c.deleted == sa.false(),
    )
    .scalar_subquery()
    .label("membership"),
    *(images.c[column] for column in _SORT_COLUMNS),
).where(images.c.id == sa.bindparam("marker"), images.c.deleted == sa.false())


def _on_page(image_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return image_id.in_(sa.bindparam("ids", expanding=True))


_CHILDREN = children(_on_page, PROJECT).order_by("row_id")


def list_images(connection: Connection, query: ListQuery, viewer: Viewer) -> list[Image]:
    """See :meth:`glimpse.db.base.Database.list_images`; a page of no images asks the database nothing."""
    if query.limit <= 0:
        return []
    marker = _marker_values(connection, query, viewer) if query.marker is not None else None
    parameters = _parameters(query, viewer)
    if parameters is None:
        return []
    if marker is not None:
        parameters |= {marker_name(position): value for position, value in enumerate(marker) if value is not None}
    shape = Shape(
        scope=ListScope.of(viewer, query.visibility, query.member_status),
        os_hidden=query.os_hidden,
        comparisons=tuple([(comparison.column, comparison.op) for comparison in query.comparisons]),
        one_of=tuple([one_of.column for one_of in query.one_of]),
        tags=len(query.tags),
        properties=len(query.properties),
        order=query.order,
        marker_nulls=tuple([value is None for value in marker]) if marker is not None else None,
    )
    statement = page_statement(shape, state_nulls=connection.dialect.name == "postgresql")
    rows = connection.execute(statement, parameters).fetchall()
    if not rows:
        return []
    parts = {row[0]: Children() for row in rows}
    gather(
        connection.execute(_CHILDREN, {"ids": list(parts), "project": viewer.project_id}).fetchall(),
        parts,
    )
    return [build(row, parts[row[0]]) for row in rows]


def _parameters(query: ListQuery, viewer: Viewer) -> dict[str, Any] | None:
    """The values of a request; None where one is a text that no row can hold, so nothing matches."""
    values: dict[str, Any] = {
        "limit": query.limit,
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
    # what no 64-bit column holds compares like its extreme, and no image has that size
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, -_LARGEST), _LARGEST)
    return value


def _marker_values(connection: Connection, query: ListQuery, viewer: Viewer) -> list[Any]:
    """The marker's values of the keys of the order.

    :raises MarkerUnknown: it names no live image.
    :raises Forbidden: the viewer does not see it.
    """
    row: Sequence[Any] | None = None
    if query.marker is not None and len(query.marker) <= 36 and storable(query.marker):
        row = connection.execute(_MARKER, {"marker": query.marker, "project": viewer.project_id}).fetchone()
    if row is None:
        raise MarkerUnknown(f"The marker {query.marker} names no image.")
    visibility, owner, membership = row[:3]
    if not sees(viewer, Visibility(visibility), owner, membership):
        raise Forbidden("The marker names an image that is not visible to you.")
    known = dict(zip(_SORT_COLUMNS, row[3:], strict=True))
    return [known[key.column] for key in query.order]
