"""Rows of ``image_locations`` (database 3.3 and 7.4)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import image_locations, images
from glimpse.db.sql.texts import TEXT_BYTES, require_location
from glimpse.db.sql.unverified_locations import add_unverified, record_checks
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.job_kinds import DELETION_KEY
from glimpse.errors import Conflict, Invalid

_OBJECT: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])

#: For rows of :func:`insertable`.
INSERT_LOCATIONS = sa.insert(image_locations)
#: What every new row has.
NEW_LOCATION: dict[str, Any] = {"status": "active", "deleted_at": None, "deleted": False}
#: Whether no job deletes the image; the parameter is its :data:`DELETION_KEY`.
NOT_DELETING = ~sa.exists().where(jobs.c.unique_key == sa.bindparam("deletion", type_=sa.String()))
_DELETION = sa.select(jobs.c.id).where(jobs.c.unique_key == sa.bindparam("deletion", type_=sa.String()))
_MOMENT: Any = sa.bindparam("moment", type_=sa.DateTime())
_UNLESS_DELETING: dict[str, Any] = {
    "image_id": images.c.id,
    "value": sa.bindparam("value", type_=image_locations.c.value.type),
    "meta_data": sa.bindparam("meta_data", type_=image_locations.c.meta_data.type),
    "status": sa.literal_column("'active'", sa.String()),
    "deleted": sa.false(),
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
}
#: One new row, unless the image is being deleted.
INSERT_LOCATIONS_UNLESS_DELETING = (
    sa.insert(image_locations)
    .from_select(
        list(_UNLESS_DELETING),
        sa.select(*_UNLESS_DELETING.values()).where(
            images.c.id == sa.bindparam("image_id", type_=sa.String()), NOT_DELETING
        ),
    )
    .execution_options(preserve_rowcount=True)
)
_MARK_ALL_DELETED = (
    sa.update(image_locations)
    .where(image_locations.c.image_id == sa.bindparam("of_image"), is_live(image_locations))
    .values(status="deleted", deleted=True, deleted_at=sa.bindparam("moment"), updated_at=sa.bindparam("moment"))
)


def read_metadata(text: str | None) -> dict[str, Any]:
    """The metadata of a location; the key ``backend`` of old rows is read as ``store`` (database 5.3)."""
    if not text or text == "{}":
        return {}
    metadata = _OBJECT.decode(text)
    if "backend" in metadata and "store" not in metadata:
        metadata["store"] = metadata.pop("backend")
    return metadata


def write_metadata(location: Location) -> str:
    """Metadata as Glance's JSON encoder writes them, never NULL (database 1.6 and 1.8).

    :raises Invalid: they do not fit their column.
    """
    text = json.dumps(location.metadata)
    if len(text) > TEXT_BYTES:
        raise Invalid(f"The metadata of a location are longer than {TEXT_BYTES} bytes.")
    return text


def insertable(image_id: str, location: Location, moment: datetime) -> dict[str, Any]:
    """The new row of a location.

    :raises Invalid: the location does not fit its columns.
    """
    require_location(location)
    return {
        **NEW_LOCATION,
        "image_id": image_id,
        "value": location.url,
        "meta_data": write_metadata(location),
        "status": location.status,
        "created_at": moment,
        "updated_at": moment,
    }


def insert_locations(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows of :func:`insertable` in one statement."""
    connection.execute(INSERT_LOCATIONS, rows)


def mark_all_deleted(connection: Connection, image_id: str, moment: datetime) -> int:
    """Soft-delete what is live of an image's locations (database 6), and return their number."""
    return connection.execute(_MARK_ALL_DELETED, {"of_image": image_id, "moment": moment}).rowcount


_COLUMNS = image_locations.c
_ACTIVE = sa.and_(
    _COLUMNS.image_id == sa.bindparam("of_image"),
    is_live(image_locations),
    _COLUMNS.status == sa.literal_column("'active'", sa.String()),
)
#: Active locations of an image with one of several ids.
ACTIVE_OF = sa.and_(_ACTIVE, _COLUMNS.id.in_(sa.bindparam("ids", expanding=True)))
_FIND = sa.select(_COLUMNS.id).where(ACTIVE_OF)
_FIND_ALL = sa.select(_COLUMNS.id, _COLUMNS.value, _COLUMNS.meta_data).where(_ACTIVE).order_by(_COLUMNS.id)
_RELABEL = (
    sa.update(image_locations)
    .where(_ACTIVE, _COLUMNS.id == sa.bindparam("row_id"))
    .values(meta_data=sa.bindparam("new_metadata"), updated_at=sa.bindparam("moment"))
)
_DROP = (
    sa.update(image_locations)
    .where(ACTIVE_OF)
    .values(status="deleted", deleted=True, deleted_at=sa.bindparam("moment"), updated_at=sa.bindparam("moment"))
)


def active_locations(connection: Connection, image_id: str) -> list[Location]:
    """The active locations of an image, in the order of their rows."""
    rows = connection.execute(_FIND_ALL, {"of_image": image_id})
    return [Location(url=url, metadata=read_metadata(metadata), id=row_id) for row_id, url, metadata in rows]


def require_not_deleting(connection: Connection, image_id: str) -> None:
    """Refuse to give an image a location while it is being deleted; the row of the image is locked by now.

    :raises Conflict: it is.
    """
    if connection.execute(_DELETION, {"deletion": DELETION_KEY % image_id}).first() is not None:
        raise Conflict("The image is being deleted.")


def change_locations(connection: Connection, image_id: str, change: ImageChange, moment: datetime) -> None:
    """The part of a change that is about locations; the row of the image is locked by now.

    That lock, which every change of locations takes, is why a look at the rows here cannot be outdated.

    :raises Conflict: a location that the change names is not active any more, or the image is being deleted.
    """
    if change.add_locations:
        require_not_deleting(connection, image_id)
    of_image = {"of_image": image_id, "moment": moment}
    gone = Conflict("A location of the image was removed meanwhile.")
    if change.if_location is not None:
        needed = {"of_image": image_id, "ids": [change.if_location]}
        if connection.execute(_FIND, needed).first() is None:
            raise gone
    for location in change.relabel_locations:
        parameters = {**of_image, "row_id": location.id, "new_metadata": write_metadata(location)}
        if connection.execute(_RELABEL, parameters).rowcount != 1:
            raise gone
    if change.drop_locations:
        dropped = connection.execute(_DROP, {**of_image, "ids": list(change.drop_locations)}).rowcount
        if dropped != len(change.drop_locations):
            raise gone
    if change.verified_locations or change.refused_locations:
        record_checks(connection, image_id, change)
    rows = [insertable(image_id, location, moment) for location in change.add_locations]
    if change.mark_unverified:
        for row in rows:
            add_unverified(connection, image_id, _insert_one(connection, row), moment)
    elif rows:
        insert_locations(connection, rows)


def _insert_one(connection: Connection, row: dict[str, Any]) -> int:
    key = connection.execute(INSERT_LOCATIONS, row).inserted_primary_key
    if key is None:
        raise AssertionError("a single INSERT has a key")
    return key[0]
