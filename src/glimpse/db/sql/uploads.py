"""Begin, finish and cancel uploads. An upload begins together with its job, and only that run may end it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import mysql, postgresql, sqlite

from glimpse.db.sql import properties, usage
from glimpse.db.sql.clock import PRESENT
from glimpse.db.sql.images import status_and_protection
from glimpse.db.sql.jobs import CLAIMED, DROP_CLAIMED, SECONDS, claimed, end_claimed
from glimpse.db.sql.locations import (
    INSERT_LOCATIONS_UNLESS_DELETING,
    NOT_DELETING,
    mark_all_deleted,
    write_metadata,
)
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.reading import fits, require_image_id
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import images
from glimpse.db.sql.texts import TEXT_BYTES, UNSTORABLE, require_properties
from glimpse.db.sql.transaction import stamp
from glimpse.domain.allowance import Allowance
from glimpse.domain.image import Location, StoredData
from glimpse.domain.job import LEASE_LOST, Job, JobChange
from glimpse.domain.job_kinds import DELETION_KEY, UPLOAD, UPLOAD_KEY
from glimpse.domain.properties import FAILED_UPLOAD
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Gone, Invalid, LeaseLost

_LARGEST = 2**63 - 1

#: Columns that a finished upload sets and a cancelled one clears.
DATA_COLUMNS = ("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value")


def _leave(status: str) -> Any:
    return sa.update(images).where(
        images.c.id == sa.bindparam("image_id", type_=sa.String()),
        is_live(images),
        images.c.status == sa.literal_column(f"'{status}'", sa.String()),
    )


_MOMENT: Any = sa.bindparam("moment", type_=sa.DateTime())
_HOLDS_JOB = sa.exists().where(CLAIMED)

_CLAIM = _leave("queued").values(status="saving", updated_at=_MOMENT)
_CLAIM_AS = _CLAIM.where(
    images.c.disk_format == sa.bindparam("of_disk_format", type_=sa.String()),
    images.c.container_format == sa.bindparam("of_container_format", type_=sa.String()),
)
_ACTIVATE = (
    _leave("saving")
    .where(_HOLDS_JOB)
    .values(
        status="active",
        updated_at=_MOMENT,
        **{name: sa.bindparam(f"new_{name}", type_=images.c[name].type) for name in DATA_COLUMNS},
    )
)
_RETURN = (
    _leave("saving")
    .where(_HOLDS_JOB)
    .values(status="queued", updated_at=_MOMENT, **dict.fromkeys(DATA_COLUMNS, sa.null()))
)


def _parameter(name: str) -> Any:
    return sa.bindparam(f"job_{name}", type_=jobs.c[name].type)


#: Job row of a new upload; its parameters come from :func:`_row`.
_ROW: dict[str, Any] = {
    **{name: _parameter(name) for name in ("id", "owner", "user_id", "request_id", "stores", "claimed_by")},
    **{name: _parameter(name) for name in ("type", "unique_key", "project_id", "reserved_bytes")},
    "image_id": images.c.id,
    "status": sa.literal_column("'running'", sa.String()),
    "input": sa.literal_column("'{}'", sa.String()),
    "message": sa.literal_column("''", sa.String()),
    "steps": sa.literal_column("'{}'", sa.String()),
    "attempt": sa.literal_column("1", sa.Integer()),
    "generation": sa.literal_column("1", sa.Integer()),
    "due_at": PRESENT + SECONDS,
    "cancel_requested": sa.false(),
    "bytes_done": sa.literal_column("0", sa.Integer()),
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
}


# The row of an earlier upload is stale once the image is queued again: replacing it fences off the earlier run.
_RENEWED = {name: value for name, value in _ROW.items() if name not in {"image_id", "unique_key", "type"}}
_NEW = sa.select(*_ROW.values()).where(images.c.id == sa.bindparam("image_id", type_=sa.String()), NOT_DELETING)


def _record(insert: Any, *, conflict: bool = True) -> Any:
    # This statement checks for a deletion itself: on PostgreSQL the one before it may have waited for the lock of the
    # image's row, and sees the other tables as they were when it began.
    statement = insert.from_select(list(_ROW), _NEW)
    if conflict:
        statement = statement.on_conflict_do_update(index_elements=["unique_key"], set_=_RENEWED)
    else:
        statement = statement.on_duplicate_key_update(_RENEWED)
    return statement.execution_options(preserve_rowcount=True)


_RECORD = {
    "sqlite": _record(sqlite.insert(jobs)),
    "postgresql": _record(postgresql.insert(jobs)),
    "mysql": _record(mysql.insert(jobs), conflict=False),
}


def _row(job: Job, moment: datetime) -> dict[str, Any]:
    """Return the parameters of :data:`_RECORD`, except ``seconds``."""
    return {
        "job_id": job.id,
        "job_owner": job.owner,
        "job_user_id": job.user_id,
        "job_request_id": job.request_id,
        "job_stores": "".join([f",{name}," for name in job.stores]) or None,
        "job_claimed_by": job.claimed_by,
        "job_type": job.type,
        "job_unique_key": UPLOAD_KEY % job.image_id,
        "job_project_id": None,
        "job_reserved_bytes": None,
        "image_id": job.image_id,
        "moment": moment,
        "deletion": DELETION_KEY % job.image_id,
    }


def require_upload(job: Job, *_: object, **__: object) -> None:
    """Check the strings of a new job, like :func:`glimpse.db.sql.job_rows.require_job`.

    :raises NotFound: the image id of the job is not a possible id.
    :raises Invalid: a string cannot be stored.
    """
    require_image_id(job.image_id or "")
    stores = "".join(job.stores)
    short = (job.user_id or "", job.request_id or "")
    long = (job.id, job.owner or "", job.claimed_by or "")
    if UNSTORABLE.search("".join((*short, *long, stores))) or "," in stores or "" in job.stores:
        raise Invalid("The job of an upload has a text that cannot be stored.")
    if job.type != UPLOAD or len(job.id) > 36 or max(map(len, short)) > 64 or max(map(len, long)) > 255:
        raise Invalid("The job of an upload is of another kind, or has a text that is too long.")


def begin_upload(
    connection: Connection,
    job: Job,
    lifetime: float,
    *,
    formats: tuple[str | None, str | None] | None = None,
    allowance: Allowance | None = None,
    reserve: int = 1,
) -> None:
    """See :meth:`glimpse.db.base.Database.begin_upload`."""
    moment = stamp(connection)
    image_id = job.image_id or ""
    claim, parameters = _CLAIM, {"image_id": image_id, "moment": moment}
    if formats is not None:
        claim = _CLAIM_AS
        parameters |= {"of_disk_format": formats[0], "of_container_format": formats[1]}
    if not connection.execute(claim, parameters).rowcount:
        status, _ = status_and_protection(connection, image_id)
        if status is Status.QUEUED:
            raise Conflict("The formats of the image were changed while the upload began; send the data again.")
        raise Conflict(f"The image is {status}; data are taken only while it is queued.")
    row = _row(job, moment)
    row["seconds"] = lifetime
    if allowance is not None:
        row["job_project_id"] = allowance.project_id
        row["job_reserved_bytes"] = usage.reserve(connection, allowance, reserve, reserve, image_id=image_id)
    if not connection.execute(_RECORD[connection.dialect.name], row).rowcount:
        raise Conflict("The image is being deleted.")


def finish_upload(
    connection: Connection,
    job: Job,
    data: StoredData,
    *,
    drop_properties: tuple[str, ...] = (),
    drop_locations: bool = False,
    set_properties: dict[str, str | None] | None = None,
) -> datetime:
    """See :meth:`glimpse.db.base.Database.finish_upload`."""
    moment = stamp(connection)
    image_id = job.image_id or ""
    run = {"job_id": job.id, "holder": job.claimed_by, "of_generation": job.generation}
    parameters: dict[str, Any] = {f"new_{name}": getattr(data, name) for name in DATA_COLUMNS}
    parameters |= run
    parameters |= {"image_id": image_id, "moment": moment}
    # The run is checked twice: on PostgreSQL the condition of the UPDATE may see the job as it was before another
    # process claimed it; the DELETE waits for that process.
    activated = connection.execute(_ACTIVATE, parameters).rowcount
    if connection.execute(DROP_CLAIMED, run).rowcount != 1:
        raise LeaseLost(LEASE_LOST)
    if not activated:
        raise Gone("The image was deleted while its data were moving.")
    if drop_locations:
        mark_all_deleted(connection, image_id, moment)
    row = _location_row(image_id, data.location, moment)
    if not connection.execute(INSERT_LOCATIONS_UNLESS_DELETING, row).rowcount:
        raise Gone("The image is being deleted.")
    if drop_properties:
        properties.drop_properties(connection, image_id, drop_properties, moment)
    if set_properties:
        properties.set_properties(connection, image_id, set_properties, moment)
    return moment


def _location_row(image_id: str, location: Location, moment: datetime) -> dict[str, Any]:
    # a store has just created this location: its URL is short, its metadata usually empty
    if UNSTORABLE.search(location.url) or len(location.url) * 3 > TEXT_BYTES:
        raise Invalid("The URL of a location is too long, or has characters that cannot be stored.")
    metadata = write_metadata(location) if location.metadata else "{}"
    return {
        "image_id": image_id,
        "value": location.url,
        "meta_data": metadata,
        "moment": moment,
        "deletion": DELETION_KEY % image_id,
    }


def require_data(
    job: Job, data: StoredData, *_: object, set_properties: dict[str, str | None] | None = None, **__: object
) -> None:
    """Check the size, virtual size and digests of new data, their properties, and the id of their image.

    :raises Invalid: a value does not fit its column.
    :raises Gone: the image id of the job is not a possible id.
    """
    digests = (data.checksum, data.os_hash_algo, data.os_hash_value)
    if UNSTORABLE.search("".join(digests)) or any(
        len(text) > most for text, most in zip(digests, (32, 64, 128), strict=True)
    ):
        raise Invalid("The digests of the data do not fit their columns.")
    if not 0 <= data.size <= _LARGEST or not 0 <= (data.virtual_size or 0) <= _LARGEST:
        raise Invalid(f"The size of the data is not between 0 and {_LARGEST} bytes.")
    if set_properties:
        require_properties(set_properties)
    if not fits(job.image_id or ""):
        raise Gone("The image does not exist.")


def require_failure(job: Job, change: JobChange | None = None) -> None:  # noqa: ARG001 - as the operation
    """:raises Invalid: the message of ``change`` cannot be stored as a property."""
    if change is not None:
        require_properties({FAILED_UPLOAD: change.message})


def cancel_upload(connection: Connection, job: Job, change: JobChange | None = None) -> bool:
    """See :meth:`glimpse.db.base.Database.cancel_upload`.

    :raises LeaseLost: another run has the job.
    """
    moment = stamp(connection)
    image_id = job.image_id or ""
    returned = connection.execute(_RETURN, {**claimed(job), "image_id": image_id, "moment": moment}).rowcount == 1
    end_claimed(connection, job, change, moment)
    if returned and change is not None:
        properties.set_properties(connection, image_id, {FAILED_UPLOAD: change.message}, moment)
    return returned
