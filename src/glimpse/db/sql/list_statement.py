"""The statement of a page. It depends only on the shape of a request, so that few are built and compiled."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from glimpse.db.sql.keyset import after_marker, order_by
from glimpse.db.sql.reading import IMAGE_COLUMNS
from glimpse.db.sql.tables import image_properties, image_tags, images
from glimpse.db.sql.visibility import ListScope
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


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A list request without its values: two requests of one shape run the same statement.

    ``marker_nulls`` is None without a marker, else tells at which keys of the order the marker is NULL.
    """

    scope: ListScope
    os_hidden: bool
    comparisons: tuple[tuple[str, str], ...]
    one_of: tuple[str, ...]
    tags: int
    properties: int
    order: tuple[SortKey, ...]
    marker_nulls: tuple[bool, ...] | None


@lru_cache(maxsize=256)
def page_statement(shape: Shape, *, state_nulls: bool) -> sa.Select[*tuple[Any, ...]]:
    """The page of this shape. Values are the parameters ``comparison_N``, ``one_of_N``, ``tag_N``,
    ``property_N``, ``value_N``, ``marker_N``, ``limit`` and those of ``visibility.py``.
    """
    conditions = [
        images.c.deleted == sa.false(),
        *(images.c.status != sa.literal_column(f"'{status}'", sa.String()) for status in sorted(UNLISTED)),
        images.c.os_hidden == (sa.true() if shape.os_hidden else sa.false()),
        shape.scope.condition(),
        *(_comparison(column, op, position) for position, (column, op) in enumerate(shape.comparisons)),
        *(
            images.c[column].in_(sa.bindparam(f"one_of_{position}", expanding=True))
            for position, column in enumerate(shape.one_of)
        ),
        *(_tagged(position) for position in range(shape.tags)),
        *(_with_property(position) for position in range(shape.properties)),
    ]
    if shape.marker_nulls is not None:
        conditions.append(after_marker(shape.order, shape.marker_nulls))
    return (
        sa.select(*IMAGE_COLUMNS)
        .where(*conditions)
        .order_by(*order_by(shape.order, state_nulls=state_nulls))
        .limit(sa.bindparam("limit", type_=sa.Integer()))
    )


def _comparison(name: str, op: str, position: int) -> sa.ColumnElement[bool]:
    column = images.c[name]
    # a number that is too large for the column is still a number to compare with
    kind = sa.BigInteger() if isinstance(column.type, sa.Integer) else column.type
    return _OPERATORS[op](column, sa.bindparam(f"comparison_{position}", type_=kind))


def _tagged(position: int) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        image_tags.c.image_id == images.c.id,
        image_tags.c.value == sa.bindparam(f"tag_{position}"),
        image_tags.c.deleted == sa.false(),
    )


def _with_property(position: int) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        image_properties.c.image_id == images.c.id,
        image_properties.c.name == sa.bindparam(f"property_{position}"),
        image_properties.c.value == sa.bindparam(f"value_{position}"),
        image_properties.c.deleted == sa.false(),
    )
