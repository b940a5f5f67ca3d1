"""Completing the metadata, and rewriting the URLs, of locations from older versions or other configurations.

See :class:`glimpse.db.base.MaintenanceDatabase`.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.locations import read_metadata, write_metadata
from glimpse.db.sql.own_tables import unverified_locations
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import image_locations
from glimpse.domain.image import Location

_COLUMNS = image_locations.c
_LIVE = sa.and_(
    _COLUMNS.id == sa.bindparam("row_id", type_=sa.Integer()),
    _COLUMNS.image_id == sa.bindparam("of_image", type_=sa.String()),
    is_live(image_locations),
)
_READ = sa.select(_COLUMNS.meta_data).where(_LIVE).with_for_update()
_WRITE = sa.update(image_locations).where(_LIVE).values(meta_data=sa.bindparam("new_metadata", type_=sa.Text()))

_ACTIVE = sa.and_(_LIVE, _COLUMNS.status == sa.literal_column("'active'", sa.String()))
_VALUE = sa.select(_COLUMNS.value).where(_ACTIVE)
#: A job that checks a location finds it by its URL.
_VERIFIED = ~sa.exists().where(
    unverified_locations.c.location_id == sa.bindparam("row_id", type_=sa.Integer()),
    unverified_locations.c.image_id == sa.bindparam("of_image", type_=sa.String()),
)
_REWRITE = (
    sa.update(image_locations)
    .where(_ACTIVE, _COLUMNS.value == sa.bindparam("old_value", type_=sa.Text()), _VERIFIED)
    .values(value=sa.bindparam("new_value", type_=sa.Text()))
)


def name_location_store(connection: Connection, image_id: str, location_id: int, store_id: str) -> bool:
    """See :meth:`glimpse.db.base.MaintenanceDatabase.name_location_store`."""
    row_of = {"row_id": location_id, "of_image": image_id}
    row = connection.execute(_READ, row_of).first()
    if row is None:
        return False
    found = Location(url="", metadata=read_metadata(row[0]))
    if "store" in found.metadata:
        return False
    named = msgspec.structs.replace(found, metadata={**found.metadata, "store": store_id})
    return connection.execute(_WRITE, {**row_of, "new_metadata": write_metadata(named)}).rowcount == 1


def stored_value(connection: Connection, image_id: str, location_id: int) -> str | None:
    """Return the URL of an active location as stored in its row; None if the location does not exist."""
    value: str | None = connection.execute(_VALUE, {"row_id": location_id, "of_image": image_id}).scalar()
    return value


def rewrite_location(connection: Connection, image_id: str, location_id: int, old_url: str, new_url: str) -> bool:
    """See :meth:`glimpse.db.base.MaintenanceDatabase.rewrite_location`; the URLs are those in rows."""
    values = {"row_id": location_id, "of_image": image_id, "old_value": old_url, "new_value": new_url}
    return connection.execute(_REWRITE, values).rowcount == 1
