"""Rows of ``glimpse_unverified_locations``; see :class:`glimpse.db.base.LocationDatabase`.

There is no foreign key to ``image_locations``, because Glance must be able to purge its rows after a swap back. A row
without its location has no effect. Glimpse removes a row when it purges the location.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.own_tables import unverified_locations
from glimpse.db.sql.texts import UNSTORABLE
from glimpse.domain.image import ImageChange

_COLUMNS = unverified_locations.c
_OF_IMAGE = _COLUMNS.image_id == sa.bindparam("of_image", type_=sa.String())
_AMONG = _COLUMNS.location_id.in_(sa.bindparam("ids", expanding=True))

_FIND = sa.select(_COLUMNS.location_id, _COLUMNS.refusal).where(_OF_IMAGE)
_INSERT = sa.insert(unverified_locations)
_DELETE = sa.delete(unverified_locations).where(_AMONG)
_VERIFY = sa.delete(unverified_locations).where(_OF_IMAGE, _AMONG)
_REFUSE = (
    sa.update(unverified_locations)
    .where(_OF_IMAGE, _COLUMNS.location_id == sa.bindparam("of_location", type_=sa.Integer()))
    .values(refusal=sa.bindparam("reason", type_=sa.Text()))
)


def add_unverified(connection: Connection, image_id: str, location_id: int, moment: datetime) -> None:
    """Record a new location as unverified."""
    # SQLite reuses the ids of purged rows
    delete_unverified(connection, (location_id,))
    connection.execute(_INSERT, {"location_id": location_id, "image_id": image_id, "created_at": moment})


def record_checks(connection: Connection, image_id: str, change: ImageChange) -> None:
    """Record which locations ``change`` verifies, and which it refuses and why."""
    if change.verified_locations:
        connection.execute(_VERIFY, {"of_image": image_id, "ids": list(change.verified_locations)})
    for location_id, reason in change.refused_locations:
        parameters = {"of_image": image_id, "of_location": location_id, "reason": UNSTORABLE.sub("?", reason)}
        connection.execute(_REFUSE, parameters)


def delete_unverified(connection: Connection, location_ids: Collection[int]) -> None:
    """Delete the rows of locations that are purged."""
    connection.execute(_DELETE, {"ids": list(location_ids)})


def find_unverified(connection: Connection, image_id: str) -> dict[int, str | None]:
    """Return refusal reasons by location id; see :meth:`glimpse.db.base.LocationDatabase.unverified_locations`."""
    return {row[0]: row[1] for row in connection.execute(_FIND, {"of_image": image_id})}
