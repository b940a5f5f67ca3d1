"""Add, claim, renew, save, cancel and list jobs; see ``db/job_base.py``."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from glimpse.db.sql.clock import PRESENT
from glimpse.db.sql.column_types import Seconds
from glimpse.db.sql.exact_comparison import equals, is_one_of
from glimpse.db.sql.images import update_image
from glimpse.db.sql.job_rows import JOB_COLUMNS, JobRows, joined, require_job, require_stores
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.reading import require_image_id
from glimpse.db.sql.tables import images
from glimpse.db.sql.task_rows import add_task, is_task, mark_forgotten, renew_tasks, save_task, show_claim
from glimpse.db.sql.texts import UNSTORABLE, require_change, require_short, require_storable
from glimpse.db.sql.transaction import stamp
from glimpse.domain.image import ImageChange
from glimpse.domain.job import ENDED, LEASE_LOST, Claim, Job, JobChange, JobQuery, JobStatus, Renewed
from glimpse.domain.task import TYPES_OF_KINDS
from glimpse.errors import Duplicate, LeaseLost, MarkerUnknown, NotFound

_COLUMNS = jobs.c

#: Seconds until a claim expires or a pause ends.
SECONDS: Any = sa.bindparam("seconds", type_=Seconds)
_LATER = PRESENT + SECONDS
_ID = _COLUMNS.id == sa.bindparam("job_id", type_=sa.String())
_MOMENT: Any = sa.bindparam("moment", type_=sa.DateTime())
_HOLDER: Any = sa.bindparam("holder", type_=sa.String())
_RUNNING = _COLUMNS.status == sa.literal_column("'running'", sa.String())
#: Matches the job as long as this run has it; its parameters come from :func:`claimed`.
CLAIMED = sa.and_(
    _ID,
    equals(_COLUMNS.claimed_by, _HOLDER),
    _COLUMNS.generation == sa.bindparam("of_generation", type_=sa.Integer()),
    _RUNNING,
)

_INSERT = sa.insert(jobs).values({"due_at": PRESENT})
#: Inserts a job that is claimed from the start.
INSERT_CLAIMED = sa.insert(jobs).values({"due_at": _LATER})
#: Removes the job of a run that has succeeded.
DROP_CLAIMED = sa.delete(jobs).where(CLAIMED)
_GET = sa.select(*JOB_COLUMNS).where(_ID)
_GET_CLAIMED = sa.select(*JOB_COLUMNS).where(CLAIMED)
_CLAIM = (
    sa.update(jobs)
    .where(_ID, _COLUMNS.generation == sa.bindparam("of_generation", type_=sa.Integer()), _COLUMNS.due_at <= PRESENT)
    .values(
        status=JobStatus.RUNNING.value,
        claimed_by=sa.bindparam("new_holder", type_=sa.String()),
        due_at=_LATER,
        generation=_COLUMNS.generation + 1,
        attempt=_COLUMNS.attempt + 1,
        updated_at=_MOMENT,
    )
)
# repeats the ids, because MariaDB uses no index for pairs
_HELD = sa.and_(
    _COLUMNS.id.in_(sa.bindparam("ids", expanding=True)),
    sa.tuple_(_COLUMNS.id, _COLUMNS.generation).in_(sa.bindparam("claims", expanding=True)),
    equals(_COLUMNS.claimed_by, _HOLDER),
    _RUNNING,
)
_RENEW = sa.update(jobs).where(_HELD).values(due_at=_LATER)
#: What the row of a running task shows.
_SHOWN = (_COLUMNS.type, _COLUMNS.bytes_done, _COLUMNS.bytes_total, _COLUMNS.message)
_SIGNALS = (
    sa.select(_COLUMNS.id, _COLUMNS.generation, _COLUMNS.cancel_requested, images.c.deleted, *_SHOWN)
    .select_from(jobs.outerjoin(images, images.c.id == _COLUMNS.image_id))
    .where(_HELD)
)
_CANCEL_PENDING = (
    sa.update(jobs)
    .where(_ID, _COLUMNS.status == JobStatus.PENDING.value, _COLUMNS.type.not_in(tuple(TYPES_OF_KINDS)))
    .values(
        status=JobStatus.CANCELLED.value,
        cancel_requested=True,
        due_at=sa.null(),
        unique_key=sa.null(),
        ended_at=_MOMENT,
        updated_at=_MOMENT,
    )
)
_KEEP_INPUT = sa.update(jobs).where(_ID).values(input=sa.bindparam("left"))
_ASK_TO_STOP = (
    sa.update(jobs)
    .where(_ID, _COLUMNS.due_at.is_not(None))
    # a pending one is due now: the process that claims it cleans up
    .values(cancel_requested=True, due_at=sa.case((_RUNNING, _COLUMNS.due_at), else_=PRESENT))
)
_FORGET = sa.delete(jobs).where(_COLUMNS.ended_at < sa.bindparam("before", type_=sa.DateTime()))
_COUNT = (
    sa.select(_COLUMNS.type, _COLUMNS.status, sa.func.count())
    # a range, so that the index on due_at is used
    .where(_COLUMNS.due_at >= 0.0)
    .group_by(_COLUMNS.type, _COLUMNS.status)
)


def claimed(job: Job) -> dict[str, Any]:
    """Return the parameters of :data:`CLAIMED`."""
    return {"job_id": job.id, "holder": job.claimed_by, "of_generation": job.generation}


def no_such_job(job_id: str) -> NotFound:
    """Build the error for a job that does not exist."""
    return NotFound(f"There is no job {job_id}.")


def insert_job(connection: Connection, row: dict[str, Any], lifetime: float | None = None) -> None:
    """Insert the row of a pending job, or of one that is claimed for ``lifetime`` seconds.

    :raises Duplicate: an unfinished job has the same unique key.
    """
    try:
        if lifetime is None:
            connection.execute(_INSERT, row)
        else:
            connection.execute(INSERT_CLAIMED, {**row, "seconds": lifetime})
    except IntegrityError as error:
        raise Duplicate("An operation of this kind is under way already.") from error


def require_new_job(job: Job, change: ImageChange | None = None, **_: object) -> None:
    """Check that a new job and the change of its image can be stored.

    :raises Invalid: a string does not fit its column, or the kind of the job or its input is unknown.
    :raises NotFound: the image id of the job is not a possible id; only with a ``change``.
    """
    require_job(job)
    if change is not None:
        require_image_id(job.image_id or "")
        require_change(change)


def add_job(
    connection: Connection,
    rows: JobRows,
    job: Job,
    change: ImageChange | None = None,
    *,
    lifetime: float | None = None,
) -> datetime:
    """See :meth:`glimpse.db.job_base.JobDatabase.add_job`."""
    moment = stamp(connection)
    insert_job(connection, rows.row(job, moment), lifetime)
    if is_task(job):
        add_task(connection, rows, msgspec.structs.replace(job, created_at=moment), moment)
    if change is not None and job.image_id is not None:
        return update_image(connection, job.image_id, change)
    return moment


@lru_cache(maxsize=64)
def _due(stores: tuple[str, ...], *, without_owners: bool) -> Any:
    """Return the SELECT of the due jobs that need no other stores than ``stores``, or are to be cancelled."""
    unknown: Any = _COLUMNS.stores
    for name in stores:
        unknown = sa.func.replace(unknown, f",{name},", "")
    possible = sa.or_(_COLUMNS.stores.is_(None), unknown == "", _COLUMNS.cancel_requested == sa.true())
    types: sa.BindParameter[Any] = sa.bindparam("types", expanding=True)
    statement = (
        sa.select(*JOB_COLUMNS)
        .where(_COLUMNS.due_at <= PRESENT, _COLUMNS.type.in_(types), possible)
        .order_by(_COLUMNS.due_at, _COLUMNS.id)
        .limit(sa.bindparam("at_most", type_=sa.Integer()))
    )
    if not without_owners:
        return statement
    others = sa.bindparam("without_owners", type_=sa.String(), expanding=True)
    return statement.where(sa.or_(_COLUMNS.owner.is_(None), sa.not_(is_one_of(_COLUMNS.owner, others))))


def due_jobs(
    connection: Connection,
    rows: JobRows,
    types: Collection[str],
    *,
    limit: int,
    stores: Collection[str] = (),
    without_owners: Collection[str] = (),
) -> list[Job]:
    """See :meth:`glimpse.db.job_base.JobDatabase.due_jobs`."""
    parameters: dict[str, Any] = {"types": sorted(types), "at_most": limit}
    if without_owners:
        parameters["without_owners"] = sorted(without_owners)
    statement = _due(tuple(sorted(stores)), without_owners=bool(without_owners))
    return [rows.job(row) for row in connection.execute(statement, parameters)]


def require_owner(job: Job, owner: str, *_: object, **__: object) -> None:  # noqa: ARG001 - as the operation
    """:raises Invalid: the name of the process does not fit its column."""
    require_storable((owner,))
    require_short(owner, 255, "The name of a process")


def claim_job(connection: Connection, rows: JobRows, job: Job, owner: str, lifetime: float) -> Job | None:
    """See :meth:`glimpse.db.job_base.JobDatabase.claim_job`."""
    parameters = {
        "job_id": job.id,
        "of_generation": job.generation,
        "new_holder": owner,
        "seconds": lifetime,
        "moment": stamp(connection),
    }
    if connection.execute(_CLAIM, parameters).rowcount != 1:
        return None
    # read again: the previous holder may have saved a step since ``job`` was read
    run = {"job_id": job.id, "holder": owner, "of_generation": job.generation + 1}
    row = connection.execute(_GET_CLAIMED, run).first()
    if row is None:
        return None
    claimed_job = rows.job(row)
    if is_task(claimed_job):
        show_claim(connection, rows, claimed_job)
    return claimed_job


def renew_jobs(connection: Connection, owner: str, claims: Sequence[Claim], lifetime: float) -> list[Renewed]:
    """See :meth:`glimpse.db.job_base.JobDatabase.renew_jobs`."""
    parameters = {
        "ids": [claim.job_id for claim in claims],
        "claims": [(claim.job_id, claim.generation) for claim in claims],
        "holder": owner,
    }
    connection.execute(_RENEW, {**parameters, "seconds": lifetime})
    held = connection.execute(_SIGNALS, parameters).all()
    if running := {row.id: row[4:] for row in held if row.type in TYPES_OF_KINDS}:
        renew_tasks(connection, running, stamp(connection))
    return [
        Renewed(job_id=job_id, generation=generation, cancelled=bool(cancelled), image_deleted=bool(deleted))
        for job_id, generation, cancelled, deleted, *_ in held
    ]


@lru_cache(maxsize=128)
def _save(columns: tuple[str, ...], *, pauses: bool) -> Any:
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}", type_=_COLUMNS[name].type) for name in columns}
    if pauses:
        values["due_at"] = _LATER
    return sa.update(jobs).where(CLAIMED).values(values)


def save_claimed(connection: Connection, job: Job, change: JobChange, moment: datetime) -> None:
    """Change the row of the job of a run.

    :raises LeaseLost: another run has the job.
    """
    columns = _changed_columns(job, change, moment)
    pauses = change.status is JobStatus.PENDING
    parameters = {**claimed(job), **{f"new_{name}": value for name, value in columns.items()}}
    if pauses:
        parameters["seconds"] = change.pause
    if connection.execute(_save(tuple(columns), pauses=pauses), parameters).rowcount != 1:
        raise LeaseLost(LEASE_LOST)


def end_claimed(connection: Connection, job: Job, change: JobChange | None, moment: datetime) -> None:
    """Remove the row of the job of a run, or apply ``change`` to it.

    :raises LeaseLost: another run has the job.
    """
    if change is not None:
        save_claimed(connection, job, change, moment)
    elif connection.execute(DROP_CLAIMED, claimed(job)).rowcount != 1:
        raise LeaseLost(LEASE_LOST)


def require_job_change(job: Job, change: JobChange, image_change: ImageChange | None = None) -> None:  # noqa: ARG001 - as the operation
    """:raises Invalid: a string in one of the changes does not fit its column."""
    require_stores(change.stores or ())
    if image_change is not None:
        require_change(image_change)


def save_job(
    connection: Connection, rows: JobRows, job: Job, change: JobChange, image_change: ImageChange | None = None
) -> datetime:
    """See :meth:`glimpse.db.job_base.JobDatabase.save_job`."""
    moment = stamp(connection)
    end_claimed(connection, job, None if change.forget else change, moment)
    if change.status in ENDED and (left := rows.input_without_tokens(job)) is not None:
        connection.execute(_KEEP_INPUT, {"job_id": job.id, "left": left})
    if is_task(job):
        save_task(connection, rows, job, change, moment)
    if image_change is not None and job.image_id is not None:
        update_image(connection, job.image_id, image_change)
    return moment


def _changed_columns(job: Job, change: JobChange, moment: datetime) -> dict[str, Any]:
    columns: dict[str, Any] = {"updated_at": moment}
    for name in ("attempt", "bytes_done", "bytes_total"):
        if getattr(change, name) is not None:
            columns[name] = getattr(change, name)
    if change.message is not None:
        # the message may quote a server or a client
        columns["message"] = UNSTORABLE.sub("?", change.message)
    if change.result is not None:
        columns["result"] = json.dumps(change.result)
    if change.step is not None:
        columns["steps"] = json.dumps({**job.steps, change.step[0]: change.step[1]})
    if change.stores is not None:
        columns["stores"] = joined(change.stores)
    if change.status is not None:
        columns |= {"status": change.status.value, "claimed_by": None}
        if change.status in ENDED:
            columns |= {"due_at": None, "unique_key": None, "ended_at": moment, "reserved_bytes": None}
    return columns


def require_job_id(job_id: str) -> None:
    """:raises NotFound: this is not a possible id of a job."""
    if len(job_id) > 36 or UNSTORABLE.search(job_id) is not None:
        raise no_such_job(job_id)


def cancel_job(connection: Connection, rows: JobRows, job_id: str) -> Job:
    """See :meth:`glimpse.db.job_base.JobDatabase.cancel_job`."""
    parameters = {"job_id": job_id}
    if not connection.execute(_CANCEL_PENDING, {**parameters, "moment": stamp(connection)}).rowcount:
        connection.execute(_ASK_TO_STOP, parameters)
    return get_job(connection, rows, job_id)


def get_job(connection: Connection, rows: JobRows, job_id: str) -> Job:
    """See :meth:`glimpse.db.job_base.JobDatabase.get_job`."""
    row = connection.execute(_GET, {"job_id": job_id}).first()
    if row is None:
        raise no_such_job(job_id)
    return rows.job(row)


def list_jobs(connection: Connection, rows: JobRows, query: JobQuery) -> list[Job]:
    """See :meth:`glimpse.db.job_base.JobDatabase.list_jobs`."""
    statement = sa.select(*JOB_COLUMNS).order_by(_COLUMNS.created_at.desc(), _COLUMNS.id.desc()).limit(query.limit)
    for name in ("status", "image_id", "owner"):
        wanted = getattr(query, name)
        if wanted is not None:
            statement = statement.where(equals(_COLUMNS[name], str(wanted)))
    if query.types is not None:
        statement = statement.where(_COLUMNS.type.in_(query.types))
    if query.after is not None:
        last = connection.execute(_GET, {"job_id": query.after}).first()
        if last is None:
            raise MarkerUnknown(f"There is no job {query.after}.")
        older = sa.and_(_COLUMNS.created_at == last.created_at, _COLUMNS.id < last.id)
        statement = statement.where(sa.or_(_COLUMNS.created_at < last.created_at, older))
    return [rows.job(row) for row in connection.execute(statement)]


def count_jobs(connection: Connection) -> dict[str, dict[str, int]]:
    """See :meth:`glimpse.db.job_base.JobDatabase.count_jobs`."""
    counts: dict[str, dict[str, int]] = {}
    for kind, status, number in connection.execute(_COUNT):
        counts.setdefault(kind, {})[status] = number
    return counts


def forget_jobs(connection: Connection, ended_before: datetime) -> int:
    """See :meth:`glimpse.db.job_base.JobDatabase.forget_jobs`."""
    mark_forgotten(connection, ended_before, stamp(connection))
    return connection.execute(_FORGET, {"before": ended_before}).rowcount
