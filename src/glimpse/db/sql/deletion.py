"""The end of an image: its rows are marked, not removed (database 6)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from glimpse.db.base_records import Lease
from glimpse.db.sql.images import status_and_protection
from glimpse.db.sql.leased_work import lease_row
from glimpse.db.sql.locations import mark_all_deleted
from glimpse.db.sql.members import drop_all_members
from glimpse.db.sql.own_tables import leases
from glimpse.db.sql.properties import drop_all_properties
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import images
from glimpse.db.sql.tags import drop_all_tags
from glimpse.db.sql.transaction import stamp
from glimpse.domain.status import Status
from glimpse.errors import Conflict

_ID = sa.bindparam("image_id", type_=sa.String())
_LIVE = sa.and_(images.c.id == _ID, is_live(images))
_MOMENT = sa.bindparam("moment", type_=sa.DateTime())

# One statement, so that the image is still as it was when the lease appears.
_LEASE_COLUMNS = [column for column in leases.c if column.name not in {"project_id", "reserved_bytes"}]
_RECORD_LEASE: Any = (
    sa.insert(leases)
    .from_select(
        [column.name for column in _LEASE_COLUMNS],
        sa.select(
            *(
                images.c.id if column.name == "image_id" else sa.bindparam(f"lease_{column.name}", type_=column.type)
                for column in _LEASE_COLUMNS
            )
        ).where(
            _LIVE,
            images.c.protected == sa.false(),
            images.c.status == sa.bindparam("from_status", type_=sa.String()),
        ),
    )
    .execution_options(preserve_rowcount=True)
)
_DROP_LEASE = sa.delete(leases).where(leases.c.id == sa.bindparam("lease_id"))

_MARK = sa.update(images).where(_LIVE).values(status="deleted", deleted=True, deleted_at=_MOMENT, updated_at=_MOMENT)
_MARK_UNPROTECTED = _MARK.where(images.c.protected == sa.false())


def begin_delete(connection: Connection, image_id: str, lease: Lease, from_status: Status) -> None:
    """See :meth:`glimpse.db.base.Database.begin_delete`."""
    parameters: dict[str, Any] = {f"lease_{name}": value for name, value in lease_row(lease, stamp(connection)).items()}
    del parameters["lease_image_id"]
    parameters |= {"image_id": image_id, "from_status": from_status.value}
    try:
        found = connection.execute(_RECORD_LEASE, parameters).rowcount
    except IntegrityError as error:
        raise Conflict("The image is being deleted already.") from error
    if not found:
        status, protected = status_and_protection(connection, image_id)
        raise Conflict("The image is protected." if protected else f"The image is {status}, not {from_status}.")


def finish_delete(connection: Connection, image_id: str, lease: Lease | None) -> datetime:
    """See :meth:`glimpse.db.base.Database.finish_delete`."""
    moment = stamp(connection)
    statement = _MARK_UNPROTECTED if lease is None else _MARK
    if not connection.execute(statement, {"image_id": image_id, "moment": moment}).rowcount:
        status_and_protection(connection, image_id)
        raise Conflict("The image is protected.")
    # Asked for once the row is locked: in a condition of the statement above, PostgreSQL would not see the location
    # of an upload that ended while it waited for the lock.
    if mark_all_deleted(connection, image_id, moment) and lease is None:
        raise Conflict("The image has data by now.")
    drop_all_properties(connection, image_id, moment)
    drop_all_tags(connection, image_id, moment)
    drop_all_members(connection, image_id, moment)
    if lease is not None:
        connection.execute(_DROP_LEASE, {"lease_id": lease.id})
    return moment
