"""Remove single locations from images, and list unverified ones; see :class:`glimpse.db.base.LocationDatabase`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.images import status_and_protection
from glimpse.db.sql.job_rows import JobRows, require_job
from glimpse.db.sql.jobs import INSERT_CLAIMED, end_claimed
from glimpse.db.sql.locations import ACTIVE_OF, require_not_deleting
from glimpse.db.sql.reading import fits, require_image_id
from glimpse.db.sql.row_state import is_live, is_marked
from glimpse.db.sql.tables import image_locations, images
from glimpse.db.sql.transaction import stamp
from glimpse.db.sql.unverified_locations import find_unverified
from glimpse.domain.job import Job, JobChange
from glimpse.domain.status import Status
from glimpse.errors import Conflict

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

_BEING_REMOVED = sa.and_(
    _COLUMNS.id == sa.bindparam("location_id", type_=sa.Integer()),
    _COLUMNS.image_id == _IMAGE,
    is_marked(image_locations),
    _COLUMNS.status == "pending_delete",
)
_FINISH = sa.update(image_locations).where(_BEING_REMOVED).values(status="deleted", updated_at=_MOMENT)
_RESTORE = (
    sa.update(image_locations)
    .where(_BEING_REMOVED, sa.exists().where(images.c.id == _IMAGE, is_live(images)))
    .values(status="active", deleted=False, deleted_at=sa.null(), updated_at=_MOMENT)
)


def require_removal(job: Job, *_: object, **__: object) -> None:
    """Check that the job of a removal can be stored.

    :raises NotFound: the image id of the job is not a possible id.
    :raises Invalid: a string does not fit its column.
    """
    require_image_id(job.image_id or "")
    require_job(job)


def begin_location_removal(
    connection: Connection, rows: JobRows, job: Job, lifetime: float, location_id: int
) -> datetime:
    """See :meth:`glimpse.db.base.LocationDatabase.begin_location_removal`."""
    moment = stamp(connection)
    image_id = job.image_id or ""
    of_image = {"of_image": image_id, "moment": moment}
    if not connection.execute(_TOUCH, of_image).rowcount:
        status, _ = status_and_protection(connection, image_id)
        raise Conflict(f"The image is {status}; that does not allow a location to be removed.")
    require_not_deleting(connection, image_id)
    taken = connection.execute(_TAKE, {**of_image, "ids": [location_id]}).rowcount
    if taken != 1 or not connection.execute(_REMAINING, {"of_image": image_id}).scalar():
        raise Conflict("The locations of the image have changed meanwhile, or none would remain.")
    connection.execute(INSERT_CLAIMED, {**rows.row(job, moment), "seconds": lifetime})
    return moment


def unverified_locations(connection: Connection, image_id: str) -> dict[int, str | None]:
    """See :meth:`glimpse.db.base.LocationDatabase.unverified_locations`."""
    return find_unverified(connection, image_id) if fits(image_id) else {}


def finish_location_removal(
    connection: Connection,
    job: Job,
    location_id: int | None,
    change: JobChange | None = None,
    *,
    restore: bool = False,
) -> None:
    """See :meth:`glimpse.db.base.LocationDatabase.finish_location_removal`."""
    moment = stamp(connection)
    if location_id is not None:
        statement = _RESTORE if restore else _FINISH
        connection.execute(statement, {"of_image": job.image_id, "location_id": location_id, "moment": moment})
    end_claimed(connection, job, change, moment)
