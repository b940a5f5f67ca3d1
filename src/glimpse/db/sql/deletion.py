"""Delete images: their rows are marked as deleted, not removed (database 6)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from glimpse.db.sql.images import status_and_protection
from glimpse.db.sql.job_rows import JobRows, require_job
from glimpse.db.sql.jobs import INSERT_CLAIMED, end_claimed, insert_job
from glimpse.db.sql.locations import active_locations, mark_all_deleted
from glimpse.db.sql.membership import drop_all_members
from glimpse.db.sql.properties import drop_all_properties
from glimpse.db.sql.reading import require_image_id
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import images
from glimpse.db.sql.tags import drop_all_tags
from glimpse.db.sql.transaction import stamp
from glimpse.domain.image import Location
from glimpse.domain.job import Job, JobChange
from glimpse.domain.job_kinds import DELETION_KEY
from glimpse.domain.status import Status
from glimpse.errors import Conflict, no_such_image

_ID = sa.bindparam("image_id", type_=sa.String())
_LIVE = sa.and_(images.c.id == _ID, is_live(images))
_MOMENT = sa.bindparam("moment", type_=sa.DateTime())

_LOCK = sa.select(images.c.status, images.c.protected).where(_LIVE).with_for_update()
_MARK = sa.update(images).where(_LIVE).values(status="deleted", deleted=True, deleted_at=_MOMENT, updated_at=_MOMENT)
_MARK_UNPROTECTED = _MARK.where(images.c.protected == sa.false())


def require_deletion(job: Job, *_: object, **__: object) -> None:
    """Check that the job of a deletion can be stored.

    :raises NotFound: the image id of the job is not a possible id.
    :raises Invalid: a string does not fit its column.
    """
    require_image_id(job.image_id or "")
    require_job(job)


def require_removals(job: Job, removals: Sequence[Job] = (), *_: object, **__: object) -> None:
    """Check that the jobs that follow a deletion can be stored.

    :raises NotFound: the image id of ``job`` is not a possible id.
    :raises Invalid: a string does not fit its column.
    """
    require_image_id(job.image_id or "")
    for removal in removals:
        require_job(removal)


def begin_deletion(
    connection: Connection, rows: JobRows, job: Job, lifetime: float, *, from_status: Status
) -> list[Location]:
    """See :meth:`glimpse.db.base.Database.begin_deletion`."""
    image_id = job.image_id or ""
    # adding a location locks this row as well, and then checks for the job
    found = connection.execute(_LOCK, {"image_id": image_id}).first()
    if found is None:
        raise no_such_image(image_id)
    status, protected = found
    if protected:
        raise Conflict("The image is protected.")
    if status != from_status:
        raise Conflict(f"The image is {status}, not {from_status}.")
    row = {**rows.row(job, stamp(connection)), "unique_key": DELETION_KEY % image_id, "seconds": lifetime}
    try:
        connection.execute(INSERT_CLAIMED, row)
    except IntegrityError as error:
        raise Conflict("The image is being deleted already.") from error
    return active_locations(connection, image_id)


def finish_deletion(
    connection: Connection, rows: JobRows, job: Job, removals: Sequence[Job] = (), change: JobChange | None = None
) -> datetime:
    """See :meth:`glimpse.db.base.Database.finish_deletion`."""
    moment = stamp(connection)
    image_id = job.image_id or ""
    if not connection.execute(_MARK, {"image_id": image_id, "moment": moment}).rowcount:
        raise no_such_image(image_id)
    end_claimed(connection, job, change, moment)
    mark_all_deleted(connection, image_id, moment)
    _drop_children(connection, image_id, moment)
    for removal in removals:
        insert_job(connection, rows.row(removal, moment))
    return moment


def delete_without_data(connection: Connection, image_id: str) -> datetime:
    """See :meth:`glimpse.db.base.Database.delete_without_data`."""
    moment = stamp(connection)
    if not connection.execute(_MARK_UNPROTECTED, {"image_id": image_id, "moment": moment}).rowcount:
        status_and_protection(connection, image_id)
        raise Conflict("The image is protected.")
    # Checked once the row is locked: in a condition of the statement above, PostgreSQL would not see the location of
    # an upload that ended while it waited for the lock.
    if mark_all_deleted(connection, image_id, moment):
        raise Conflict("The image has data by now.")
    _drop_children(connection, image_id, moment)
    return moment


def _drop_children(connection: Connection, image_id: str, moment: datetime) -> None:
    drop_all_properties(connection, image_id, moment)
    drop_all_tags(connection, image_id, moment)
    drop_all_members(connection, image_id, moment)
