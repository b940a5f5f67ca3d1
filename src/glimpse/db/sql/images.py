"""Single images: create and change."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from glimpse.db.sql.locations import change_locations, insert_locations, insertable
from glimpse.db.sql.properties import drop_properties, insert_properties, set_properties
from glimpse.db.sql.reading import IMAGE_COLUMNS, require_image_id
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import images
from glimpse.db.sql.tags import add_tags, drop_tag, replace_tags
from glimpse.db.sql.texts import require_change, require_image
from glimpse.db.sql.transaction import stamp, storable_time
from glimpse.db.sql.usage import check_ceiling, reserve
from glimpse.domain.allowance import ImageCeiling
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Duplicate, Invalid, no_such_image

_ID = sa.bindparam("image_id", type_=sa.String())
_LIVE = sa.and_(images.c.id == _ID, is_live(images))

_INSERT = sa.insert(images)
_STATUS = sa.select(images.c.status, images.c.protected).where(_LIVE)


#: Columns of a new row that equal its attributes.
_PLAIN = tuple(column.name for column in IMAGE_COLUMNS if column.name not in {"owner", "created_at", "updated_at"})
#: Columns that a change may contain.
_CHANGEABLE = frozenset(column.name for column in IMAGE_COLUMNS) - {"id", "created_at", "updated_at"}


def status_and_protection(connection: Connection, image_id: str) -> tuple[Status, bool]:
    """Why a conditional statement found no row.

    :raises NotFound: the image does not exist or is deleted.
    """
    row = connection.execute(_STATUS, {"image_id": image_id}).fetchone()
    if row is None:
        raise no_such_image(image_id)
    return Status(row[0]), row[1]


def require_new_image(image: Image, *_: object, **__: object) -> None:
    """:raises Invalid: a text does not fit its column."""
    require_image(image)


def require_update(image_id: str, change: ImageChange) -> None:
    """Refuse a change before the database sees it.

    :raises Invalid: a text does not fit its column.
    :raises NotFound: no image can have this id.
    """
    require_change(change)
    require_image_id(image_id)


def create_image(connection: Connection, image: Image, *, ceiling: ImageCeiling | None = None) -> None:
    """See :meth:`glimpse.db.base.Database.create_image`; for images that passed :func:`require_new_image`."""
    if ceiling is not None:
        check_ceiling(connection, ceiling)
    created_at = storable_time(connection, image.created_at)
    row: dict[str, Any] = {column: getattr(image, column) for column in _PLAIN}
    row["owner"] = image.owner or None
    row["created_at"] = created_at
    row["updated_at"] = storable_time(connection, image.updated_at)
    row["deleted"] = False
    try:
        connection.execute(_INSERT, row)
    except IntegrityError as error:
        raise Duplicate(f"Image ID {image.id} already exists!") from error
    if image.properties:
        try:
            insert_properties(connection, image.id, image.properties, created_at)
        except IntegrityError as error:
            raise Conflict("The names of two properties differ only in case, accents or trailing blanks.") from error
    if image.tags:
        add_tags(connection, image.id, image.tags, created_at)
    if image.locations:
        insert_locations(connection, [insertable(image.id, location, created_at) for location in image.locations])


@lru_cache(maxsize=256)
def _update(columns: tuple[str, ...], unchanged: tuple[str, ...], *, conditional: bool) -> Any:
    statement = sa.update(images).where(_LIVE)
    for name in unchanged:
        column = images.c[name]
        statement = statement.where(column.is_not_distinct_from(sa.bindparam(f"old_{name}", type_=column.type)))
    if conditional:
        statement = statement.where(images.c.status.in_(sa.bindparam("from_status", expanding=True)))
    names = ("updated_at", *columns)
    return statement.values({name: sa.bindparam(f"new_{name}", type_=images.c[name].type) for name in names})


def update_image(connection: Connection, image_id: str, change: ImageChange) -> datetime:
    """See :meth:`glimpse.db.base.Database.update_image`; for changes that passed :func:`require_update`."""
    moment = stamp(connection)
    _update_row(connection, image_id, change, moment)
    if change.drop_properties:
        drop_properties(connection, image_id, change.drop_properties, moment)
    if change.set_properties:
        set_properties(connection, image_id, change.set_properties, moment)
    if change.tags is not None:
        replace_tags(connection, image_id, change.tags, moment)
    for tag in change.drop_tags:
        drop_tag(connection, image_id, tag, moment)
    if change.add_tags:
        add_tags(connection, image_id, change.add_tags, moment)
    if change.within is not None:
        reserve(connection, change.within, change.takes, change.takes)
    if _is_about_locations(change):
        change_locations(connection, image_id, change, moment)
    return moment


def _is_about_locations(change: ImageChange) -> bool:
    return bool(
        change.add_locations
        or change.relabel_locations
        or change.drop_locations
        or change.if_location is not None
        or change.verified_locations
        or change.refused_locations
    )


def _update_row(connection: Connection, image_id: str, change: ImageChange, moment: datetime) -> None:
    if not _CHANGEABLE.issuperset((*change.columns, *change.if_columns)):
        raise Invalid(f"Some of these attributes cannot be changed: {', '.join(sorted(change.columns))}.")
    columns = tuple(change.columns)
    parameters: dict[str, Any] = {f"new_{name}": value for name, value in change.columns.items()}
    if "owner" in change.columns:
        parameters["new_owner"] = change.columns["owner"] or None
    parameters["new_updated_at"] = moment
    parameters["image_id"] = image_id
    if change.from_status:
        parameters["from_status"] = change.from_status
    parameters |= {f"old_{name}": value for name, value in change.if_columns.items()}
    statement = _update(columns, tuple(change.if_columns), conditional=bool(change.from_status))
    if not connection.execute(statement, parameters).rowcount:
        status, _ = status_and_protection(connection, image_id)
        if not change.from_status or status in change.from_status:
            raise Conflict("The image was changed meanwhile; read it again and retry.")
        raise Conflict(f"The image is {status}; this change is not allowed in this state.")
