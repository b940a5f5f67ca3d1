"""Rows of ``glimpse_unverified_locations``; see :class:`glimpse.db.base.LocationDatabase`.

There is no foreign key to ``image_locations``: Glance must be able to purge its rows after a swap back. A row whose
location is gone has no effect, and goes when Glimpse purges that location.
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
_FORGET = sa.delete(unverified_locations).where(_AMONG)
_VERIFY = sa.delete(unverified_locations).where(_OF_IMAGE, _AMONG)
_REFUSE = (
    sa.update(unverified_locations)
    .where(_OF_IMAGE, _COLUMNS.location_id == sa.bindparam("of_location", type_=sa.Integer()))
    .values(refusal=sa.bindparam("reason", type_=sa.Text()))
)


def mark(connection: Connection, image_id: str, location_id: int, moment: datetime) -> None:
    """Record a new location as not verified."""
    # SQLite gives the id of a purged row to a new one
    forget(connection, (location_id,))
    connection.execute(_INSERT, {"location_id": location_id, "image_id": image_id, "created_at": moment})


def change_marks(connection: Connection, image_id: str, change: ImageChange) -> None:
    """The part of a change that is about the marks of locations."""
    if change.verified_locations:
        connection.execute(_VERIFY, {"of_image": image_id, "ids": list(change.verified_locations)})
    for location_id, reason in change.refused_locations:
        parameters = {"of_image": image_id, "of_location": location_id, "reason": UNSTORABLE.sub("?", reason)}
        connection.execute(_REFUSE, parameters)


def forget(connection: Connection, location_ids: Collection[int]) -> None:
    """Remove the marks of locations that are purged."""
    connection.execute(_FORGET, {"ids": list(location_ids)})


def find_marks(connection: Connection, image_id: str) -> dict[int, str | None]:
    """The reasons by location; see :meth:`glimpse.db.base.LocationDatabase.unverified_locations`."""
    return {row[0]: row[1] for row in connection.execute(_FIND, {"of_image": image_id})}
