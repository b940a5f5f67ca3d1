"""Single locations: taken from an image under a lease, and which are verified; see ``db/base_locations.py``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from glimpse.db.base_records import Lease
from glimpse.db.sql.images import status_and_protection
from glimpse.db.sql.leased_work import drop_held, lease_row, require_lease
from glimpse.db.sql.locations import ACTIVE_OF, read_metadata
from glimpse.db.sql.own_tables import leases
from glimpse.db.sql.reading import fits, require_image_id
from glimpse.db.sql.row_state import is_live, is_marked
from glimpse.db.sql.tables import image_locations, images
from glimpse.db.sql.transaction import read, stamp, write
from glimpse.db.sql.unverified_locations import find_marks
from glimpse.domain.image import Location
from glimpse.domain.status import Status
from glimpse.errors import Conflict, LeaseLost

_COLUMNS = image_locations.c
_MOMENT: Any = sa.bindparam("moment", type_=sa.DateTime())
_IMAGE = sa.bindparam("of_image", type_=sa.String())

_TOUCH = (
    sa.update(images)
    .where(images.c.id == _IMAGE, is_live(images), images.c.status == Status.ACTIVE.value)
    .values(updated_at=_MOMENT)
)
_TAKE = (
    sa.update(image_locations)
    .where(ACTIVE_OF)
    .values(status="pending_delete", deleted=True, deleted_at=_MOMENT, updated_at=_MOMENT)
)
_REMAINING = sa.select(sa.func.count()).where(
    _COLUMNS.image_id == _IMAGE, is_live(image_locations), _COLUMNS.status == "active"
)
_RECORD = sa.insert(leases)

_BEING_REMOVED = sa.and_(_COLUMNS.image_id == _IMAGE, is_marked(image_locations), _COLUMNS.status == "pending_delete")
_FIND = sa.select(_COLUMNS.id, _COLUMNS.value, _COLUMNS.meta_data).where(_BEING_REMOVED).order_by(_COLUMNS.id)
_FINISH = sa.update(image_locations).where(_BEING_REMOVED).values(status="deleted", updated_at=_MOMENT)
_RESTORE = (
    sa.update(image_locations)
    .where(_BEING_REMOVED, sa.exists().where(images.c.id == _IMAGE, is_live(images)))
    .values(status="active", deleted=False, deleted_at=sa.null(), updated_at=_MOMENT)
)
_LOST = "Another process took the removal of a location over."


def begin(connection: Connection, image_id: str, location_ids: Sequence[int], lease: Lease) -> datetime:
    """See :meth:`glimpse.db.base_locations.LocationDatabase.begin_location_removal`."""
    moment = stamp(connection)
    of_image = {"of_image": image_id, "moment": moment}
    if not connection.execute(_TOUCH, of_image).rowcount:
        status, _ = status_and_protection(connection, image_id)
        raise Conflict(f"The image is {status}; that does not allow a location to be removed.")
    taken = connection.execute(_TAKE, {**of_image, "ids": list(location_ids)}).rowcount
    if taken != len(location_ids) or not connection.execute(_REMAINING, {"of_image": image_id}).scalar():
        raise Conflict("The locations of the image have changed meanwhile, or none would remain.")
    try:
        connection.execute(_RECORD, lease_row(lease, moment))
    except IntegrityError as error:
        raise Conflict("A location of the image is being removed already.") from error
    return moment


def find(connection: Connection, image_id: str) -> list[Location]:
    """See :meth:`glimpse.db.base_locations.LocationDatabase.locations_being_removed`."""
    rows = connection.execute(_FIND, {"of_image": image_id})
    return [
        Location(url=url, metadata=read_metadata(metadata), status="pending_delete", id=row_id)
        for row_id, url, metadata in rows
    ]


def end(connection: Connection, lease: Lease, statement: Any) -> None:
    """Mark the rows by ``statement`` and drop the lease.

    :raises LeaseLost: it is another's.
    """
    connection.execute(statement, {"of_image": lease.image_id, "moment": stamp(connection)})
    if not drop_held(connection, lease):
        raise LeaseLost(_LOST)


class LocationRemoval:
    """The part of the database that is about single locations."""

    _engine: Engine

    def begin_location_removal(self, image_id: str, location_ids: Sequence[int], lease: Lease) -> datetime:
        """See the protocol: 4 statements."""
        require_image_id(image_id)
        require_lease(lease)
        return write(self._engine, begin, image_id, location_ids, lease)

    def locations_being_removed(self, image_id: str) -> list[Location]:
        """See the protocol: 1 statement."""
        return read(self._engine, find, image_id) if fits(image_id) else []

    def unverified_locations(self, image_id: str) -> dict[int, str | None]:
        """See the protocol: 1 statement."""
        return read(self._engine, find_marks, image_id) if fits(image_id) else {}

    def finish_location_removal(self, lease: Lease) -> None:
        """See the protocol: 2 statements."""
        write(self._engine, end, lease, _FINISH)

    def cancel_location_removal(self, lease: Lease) -> None:
        """See the protocol: 2 statements."""
        write(self._engine, end, lease, _RESTORE)
