"""Rows of ``glimpse_jobs``; see ``db/base_jobs.py``. Objects are JSON in ASCII, which every database takes."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from glimpse.db.sql.exact_comparison import equals, is_one_of
from glimpse.db.sql.images import update_image
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.reading import require_image_id
from glimpse.db.sql.tables import images
from glimpse.db.sql.texts import UNSTORABLE, require_change, require_short, require_storable
from glimpse.db.sql.transaction import read, stamp, write
from glimpse.domain.image import ImageChange
from glimpse.domain.job import ENDED, Job, JobChange, JobQuery, JobStatus
from glimpse.errors import Duplicate, LeaseLost, MarkerUnknown, NotFound

_COLUMNS = jobs.c
_JSON = frozenset({"input", "result", "steps"})
_LENGTHS = {"id": 36, "type": 30, "owner": 255, "user_id": 64, "request_id": 64, "image_id": 36, "unique_key": 100}

_ID = _COLUMNS.id == sa.bindparam("job_id", type_=sa.String())
_UNFINISHED = _COLUMNS.due_at.is_not(None)
#: This very claim, as long as nobody took the job over; parameters of :func:`_claimed`.
_CLAIMED = sa.and_(
    _ID,
    equals(_COLUMNS.claimed_by, sa.bindparam("holder", type_=sa.String())),
    _COLUMNS.generation == sa.bindparam("of_generation", type_=sa.Integer()),
    _COLUMNS.status == JobStatus.RUNNING.value,
)

_INSERT = sa.insert(jobs)
_GET = sa.select(jobs).where(_ID)
_DUE = (
    sa.select(jobs)
    .where(_COLUMNS.due_at <= sa.bindparam("now"), _COLUMNS.type.in_(sa.bindparam("types", expanding=True)))
    .order_by(_COLUMNS.due_at, _COLUMNS.id)
    .limit(sa.bindparam("at_most", type_=sa.Integer()))
)
_DUE_OF_OTHERS = _DUE.where(
    sa.or_(
        _COLUMNS.owner.is_(None),
        sa.not_(is_one_of(_COLUMNS.owner, sa.bindparam("without_owners", type_=sa.String(), expanding=True))),
    )
)
_CLAIM = (
    sa.update(jobs)
    .where(
        _ID,
        _COLUMNS.generation == sa.bindparam("of_generation", type_=sa.Integer()),
        _COLUMNS.due_at == sa.bindparam("was_due"),
    )
    .values(
        status=JobStatus.RUNNING.value,
        claimed_by=sa.bindparam("new_holder", type_=sa.String()),
        due_at=sa.bindparam("until"),
        generation=_COLUMNS.generation + 1,
        attempt=_COLUMNS.attempt + 1,
        updated_at=sa.bindparam("moment", type_=sa.DateTime()),
    )
)
_HELD = sa.and_(
    _COLUMNS.id.in_(sa.bindparam("ids", expanding=True)),
    equals(_COLUMNS.claimed_by, sa.bindparam("holder", type_=sa.String())),
    _COLUMNS.status == JobStatus.RUNNING.value,
)
_RENEW = sa.update(jobs).where(_HELD).values(due_at=sa.bindparam("until"))
_SIGNALS = (
    sa.select(_COLUMNS.id, _COLUMNS.cancel_requested, images.c.deleted)
    .select_from(jobs.outerjoin(images, images.c.id == _COLUMNS.image_id))
    .where(_HELD)
)
_CANCEL_PENDING = (
    sa.update(jobs)
    .where(_ID, _COLUMNS.status == JobStatus.PENDING.value)
    .values(
        status=JobStatus.CANCELLED.value,
        cancel_requested=True,
        due_at=sa.null(),
        unique_key=sa.null(),
        ended_at=sa.bindparam("moment", type_=sa.DateTime()),
        updated_at=sa.bindparam("moment", type_=sa.DateTime()),
    )
)
_ASK_TO_STOP = sa.update(jobs).where(_ID, _UNFINISHED).values(cancel_requested=True)
_FORGET = sa.delete(jobs).where(_COLUMNS.ended_at < sa.bindparam("before", type_=sa.DateTime()))


def _row(job: Job, moment: datetime) -> dict[str, Any]:
    row = msgspec.structs.asdict(job)
    for name in _JSON:
        row[name] = None if row[name] is None else json.dumps(row[name])
    return {**row, "status": job.status.value, "created_at": moment, "updated_at": moment}


def _job(row: Any) -> Job:
    fields: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name begins like that
    for name in _JSON:
        if fields[name] is not None:
            fields[name] = msgspec.json.decode(fields[name])
    fields["status"] = JobStatus(fields["status"])
    return Job(**fields)


def _claimed(job: Job) -> dict[str, Any]:
    return {"job_id": job.id, "holder": job.claimed_by, "of_generation": job.generation}


def no_such_job(job_id: str) -> NotFound:
    """The error for a job that is not there."""
    return NotFound(f"There is no job {job_id}.")


def require_job(job: Job) -> None:
    """Check the texts of a new job; those in its objects are stored as ASCII.

    :raises Invalid: one does not fit its column.
    """
    for name, longest in _LENGTHS.items():
        text: str | None = getattr(job, name)
        require_storable((text,))
        require_short(text, longest, f"The {name} of a job")


def add_job(connection: Connection, job: Job, change: ImageChange | None) -> datetime:
    """See :meth:`glimpse.db.base_jobs.JobDatabase.add_job`."""
    moment = stamp(connection)
    try:
        connection.execute(_INSERT, _row(job, moment))
    except IntegrityError as error:
        raise Duplicate("An operation of this kind is under way already.") from error
    if change is not None and job.image_id is not None:
        return update_image(connection, job.image_id, change)
    return moment


def due_jobs(
    connection: Connection, types: Collection[str], now: float, limit: int, without_owners: Collection[str]
) -> list[Job]:
    """See :meth:`glimpse.db.base_jobs.JobDatabase.due_jobs`."""
    parameters: dict[str, Any] = {"types": sorted(types), "now": now, "at_most": limit}
    statement = _DUE
    if without_owners:
        statement = _DUE_OF_OTHERS
        parameters["without_owners"] = sorted(without_owners)
    return [_job(row) for row in connection.execute(statement, parameters)]


def claim_job(connection: Connection, job: Job, owner: str, expires_at: float) -> Job | None:
    """See :meth:`glimpse.db.base_jobs.JobDatabase.claim_job`."""
    moment = stamp(connection)
    parameters = {
        "job_id": job.id,
        "of_generation": job.generation,
        "was_due": job.due_at,
        "new_holder": owner,
        "until": expires_at,
        "moment": moment,
    }
    if connection.execute(_CLAIM, parameters).rowcount != 1:
        return None
    return msgspec.structs.replace(
        job,
        status=JobStatus.RUNNING,
        claimed_by=owner,
        due_at=expires_at,
        generation=job.generation + 1,
        attempt=job.attempt + 1,
        updated_at=moment,
    )


def renew_jobs(connection: Connection, owner: str, ids: Sequence[str], expires_at: float) -> dict[str, bool]:
    """See :meth:`glimpse.db.base_jobs.JobDatabase.renew_jobs`."""
    parameters = {"ids": list(ids), "holder": owner}
    connection.execute(_RENEW, {**parameters, "until": expires_at})
    return {
        job_id: bool(cancelled or image_deleted)
        for job_id, cancelled, image_deleted in connection.execute(_SIGNALS, parameters)
    }


@lru_cache(maxsize=128)
def _save(columns: tuple[str, ...]) -> Any:
    return (
        sa.update(jobs)
        .where(_CLAIMED)
        .values({name: sa.bindparam(f"new_{name}", type_=_COLUMNS[name].type) for name in columns})
    )


def save_job(connection: Connection, job: Job, change: JobChange, image_change: ImageChange | None) -> datetime:
    """See :meth:`glimpse.db.base_jobs.JobDatabase.save_job`."""
    moment = stamp(connection)
    columns = _changed_columns(job, change, moment)
    parameters = {**_claimed(job), **{f"new_{name}": value for name, value in columns.items()}}
    if connection.execute(_save(tuple(columns)), parameters).rowcount != 1:
        raise LeaseLost("Another process took the job over, or it was ended.")
    if image_change is not None and job.image_id is not None:
        update_image(connection, job.image_id, image_change)
    return moment


def _changed_columns(job: Job, change: JobChange, moment: datetime) -> dict[str, Any]:
    columns: dict[str, Any] = {"updated_at": moment}
    for name in ("attempt", "bytes_done", "bytes_total"):
        if getattr(change, name) is not None:
            columns[name] = getattr(change, name)
    if change.message is not None:
        # it may quote what a server or a client said
        columns["message"] = UNSTORABLE.sub("?", change.message)
    if change.result is not None:
        columns["result"] = json.dumps(change.result)
    if change.step is not None:
        columns["steps"] = json.dumps({**job.steps, change.step[0]: change.step[1]})
    if change.status is not None:
        columns |= {"status": change.status.value, "claimed_by": None, "due_at": change.due_at}
        if change.status in ENDED:
            columns |= {"due_at": None, "unique_key": None, "ended_at": moment}
    return columns


def cancel_job(connection: Connection, job_id: str) -> Job:
    """See :meth:`glimpse.db.base_jobs.JobDatabase.cancel_job`."""
    parameters = {"job_id": job_id}
    if not connection.execute(_CANCEL_PENDING, {**parameters, "moment": stamp(connection)}).rowcount:
        connection.execute(_ASK_TO_STOP, parameters)
    return get_job(connection, job_id)


def get_job(connection: Connection, job_id: str) -> Job:
    """See :meth:`glimpse.db.base_jobs.JobDatabase.get_job`."""
    row = connection.execute(_GET, {"job_id": job_id}).first()
    if row is None:
        raise no_such_job(job_id)
    return _job(row)


def list_jobs(connection: Connection, query: JobQuery) -> list[Job]:
    """See :meth:`glimpse.db.base_jobs.JobDatabase.list_jobs`."""
    statement = sa.select(jobs).order_by(_COLUMNS.created_at.desc(), _COLUMNS.id.desc()).limit(query.limit)
    for name in ("status", "type", "image_id", "owner"):
        wanted = getattr(query, name)
        if wanted is not None:
            statement = statement.where(equals(_COLUMNS[name], str(wanted)))
    if query.after is not None:
        last = connection.execute(_GET, {"job_id": query.after}).first()
        if last is None:
            raise MarkerUnknown(f"There is no job {query.after}.")
        older = sa.and_(_COLUMNS.created_at == last.created_at, _COLUMNS.id < last.id)
        statement = statement.where(sa.or_(_COLUMNS.created_at < last.created_at, older))
    return [_job(row) for row in connection.execute(statement)]


def forget_jobs(connection: Connection, ended_before: datetime) -> int:
    """See :meth:`glimpse.db.base_jobs.JobDatabase.forget_jobs`."""
    return connection.execute(_FORGET, {"before": ended_before}).rowcount


def _findable(job_id: str) -> bool:
    return len(job_id) <= 36 and UNSTORABLE.search(job_id) is None


class Jobs:
    """The part of the database that is about jobs."""

    _engine: Engine

    def add_job(self, job: Job, change: ImageChange | None = None) -> datetime:
        """See the protocol: 1 statement, and those of the change."""
        require_job(job)
        if change is not None:
            require_image_id(job.image_id or "")
            require_change(change)
        return write(self._engine, add_job, job, change)

    def due_jobs(
        self, types: Collection[str], now: float, *, limit: int, without_owners: Collection[str] = ()
    ) -> list[Job]:
        """See the protocol: 1 statement."""
        return read(self._engine, due_jobs, types, now, limit, without_owners)

    def claim_job(self, job: Job, owner: str, expires_at: float) -> Job | None:
        """See the protocol: 1 statement."""
        return read(self._engine, claim_job, job, owner, expires_at)

    def renew_jobs(self, owner: str, job_ids: Sequence[str], expires_at: float) -> dict[str, bool]:
        """See the protocol: 2 statements."""
        return read(self._engine, renew_jobs, owner, job_ids, expires_at)

    def save_job(self, job: Job, change: JobChange, image_change: ImageChange | None = None) -> datetime:
        """See the protocol: 1 statement, and those of the image's change."""
        if image_change is not None:
            require_change(image_change)
        return write(self._engine, save_job, job, change, image_change)

    def cancel_job(self, job_id: str) -> Job:
        """See the protocol: 2 or 3 statements."""
        if not _findable(job_id):
            raise no_such_job(job_id)
        return write(self._engine, cancel_job, job_id)

    def get_job(self, job_id: str) -> Job:
        """See the protocol: 1 statement."""
        if not _findable(job_id):
            raise no_such_job(job_id)
        return read(self._engine, get_job, job_id)

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """See the protocol: 1 statement, 2 after a page."""
        return read(self._engine, list_jobs, query)

    def forget_jobs(self, ended_before: datetime) -> int:
        """See the protocol: 1 statement."""
        return read(self._engine, forget_jobs, ended_before)
