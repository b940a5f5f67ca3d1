"""Tasks: jobs of ``glimpse_jobs`` and Glance's rows in ``tasks``, read together; see ``db/task_base.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.job_rows import JOB_COLUMNS, JobRows
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.row_state import is_live
from glimpse.db.sql.tables import task_info, tasks
from glimpse.db.sql.texts import storable
from glimpse.db.sql.transaction import storable_time
from glimpse.domain.clock import now
from glimpse.domain.task import TASK_COLUMNS, TASK_STATUSES, TYPES_OF_KINDS, Task, TaskQuery, object_in, task_of
from glimpse.errors import MarkerUnknown, NotFound

_KINDS = tuple(TYPES_OF_KINDS)
_NULLABLE = frozenset({"expires_at", "image_id", "request_id", "user_id"})

_Columns = Mapping[str, sa.ColumnElement[Any]]


class _HoursLater(FunctionElement[datetime]):
    """A time and the hours to add to it."""

    inherit_cache = True
    type = sa.DateTime()


def _parts(element: _HoursLater, compiler: SQLCompiler, keywords: dict[str, Any]) -> tuple[str, str]:
    moment, hours = element.clauses
    return compiler.process(moment, **keywords), compiler.process(hours, **keywords)


@compiles(_HoursLater, "sqlite")
def _of_sqlite(element: _HoursLater, compiler: SQLCompiler, **keywords: Any) -> str:
    moment, hours = _parts(element, compiler, keywords)
    # in the form in which times are stored; of the fraction it keeps milliseconds
    return f"(strftime('%Y-%m-%d %H:%M:%f', {moment}, '+{hours} hours') || '000')"


@compiles(_HoursLater, "postgresql")
def _of_postgresql(element: _HoursLater, compiler: SQLCompiler, **keywords: Any) -> str:
    moment, hours = _parts(element, compiler, keywords)
    return f"({moment} + make_interval(hours => {hours}))"


@compiles(_HoursLater, "mysql", "mariadb")
def _of_mysql(element: _HoursLater, compiler: SQLCompiler, **keywords: Any) -> str:
    moment, hours = _parts(element, compiler, keywords)
    return f"DATE_ADD({moment}, INTERVAL {hours} HOUR)"


# --------------------------------------------------------------------------------------- The two sources of one list

_ROWS: _Columns = {name: tasks.c[name] for name in TASK_COLUMNS if name != "updated_at"} | {
    # Glance's column may be NULL
    "updated_at": sa.func.coalesce(tasks.c.updated_at, tasks.c.created_at, type_=sa.DateTime())
}
_NO_JOB = ~sa.exists().where(jobs.c.id == tasks.c.id)
_IS_ROW = sa.and_(is_live(tasks), _NO_JOB)
# by the index on ``deleted``: ended tasks are marked after two days, so live ones are few
_IS_LISTED_ROW = sa.and_(tasks.c.deleted == sa.false(), _NO_JOB)
_IS_JOB = jobs.c.type.in_(_KINDS)


@lru_cache(maxsize=8)
def _of_jobs(keep_hours: int) -> _Columns:
    own = {name: jobs.c[name] for name in TASK_COLUMNS if name in jobs.c}
    kinds = {kind: sa.literal_column(f"'{name}'", sa.String()) for kind, name in TYPES_OF_KINDS.items()}
    statuses = {job.value: sa.literal_column(f"'{task.value}'", sa.String()) for job, task in TASK_STATUSES.items()}
    return {
        **own,
        "type": sa.case(kinds, value=jobs.c.type),
        "status": sa.case(statuses, value=jobs.c.status),
        "owner": sa.func.coalesce(jobs.c.owner, sa.literal_column("''", sa.String())),
        "expires_at": _HoursLater(jobs.c.ended_at, sa.literal_column(str(int(keep_hours)), sa.Integer())),
    }


def _job_is_kept(keep_hours: int) -> sa.ColumnElement[bool]:
    return sa.or_(jobs.c.ended_at.is_(None), jobs.c.ended_at > now() - timedelta(hours=keep_hours))


def _row_is_kept() -> sa.ColumnElement[bool]:
    return sa.or_(tasks.c.expires_at.is_(None), tasks.c.expires_at > now())


# ------------------------------------------------------------------------------------------------------ Lists of tasks


def list_tasks(connection: Connection, query: TaskQuery, keep_hours: int) -> list[Task]:
    """See :meth:`glimpse.db.task_base.TaskDatabase.list_tasks`."""
    order = tuple(dict.fromkeys((query.sort_key, "created_at", "id")))
    marker = None if query.marker is None else _marker(connection, query, keep_hours)
    texts = [value for _, value in query.columns if isinstance(value, str)]
    if query.limit == 0 or not all(map(storable, texts)):
        return []
    state_nulls = connection.dialect.name == "postgresql"
    pages: list[sa.Select[Any]] = []
    sources = ((_of_jobs(keep_hours), _IS_JOB, _job_is_kept(keep_hours)), (_ROWS, _IS_LISTED_ROW, _row_is_kept()))
    for columns, is_task, is_kept in sources:
        conditions = [is_task, is_kept, *(_matches(columns, name, value) for name, value in query.columns)]
        if query.owner is not None:
            conditions.append(equals(columns["owner"], query.owner))
        if marker is not None:
            conditions.append(_after(columns, order, marker, descending=query.descending))
        page = _selected(columns).where(*conditions).limit(query.limit)
        # SQLite allows ORDER BY and LIMIT only in a subquery of a UNION
        pages.append(sa.select(page.order_by(*_terms(columns, order, query, state_nulls)).subquery()))
    both = sa.union_all(*pages).subquery()
    statement = sa.select(both).order_by(*_terms(both.c, order, query, state_nulls)).limit(query.limit)
    return [_stub(row) for row in connection.execute(statement)]


def _selected(columns: _Columns) -> sa.Select[Any]:
    return sa.select(*(columns[name].label(name) for name in TASK_COLUMNS))


def _stub(row: Sequence[Any]) -> Task:
    return Task(**dict(zip(TASK_COLUMNS, row, strict=True)))


def _matches(columns: _Columns, name: str, value: str | datetime) -> sa.ColumnElement[bool]:
    return equals(columns[name], value) if isinstance(value, str) else columns[name] == value


def _marker(connection: Connection, query: TaskQuery, keep_hours: int) -> Mapping[str, Any]:
    """Read the sort values of the marker, which may have expired since the last page.

    :raises MarkerUnknown: there is no such task, or it belongs to another project than ``query.owner``.
    """
    marker = query.marker or ""
    unknown = MarkerUnknown("The marker names no task.")
    if not _is_possible_id(marker):
        raise unknown
    statement = sa.union_all(
        _selected(_of_jobs(keep_hours)).where(_IS_JOB, jobs.c.id == marker),
        _selected(_ROWS).where(_IS_ROW, tasks.c.id == marker),
    )
    row = connection.execute(statement).first()
    if row is None:
        raise unknown
    values: dict[str, Any] = dict(zip(TASK_COLUMNS, row, strict=True))
    if query.owner is not None and values["owner"] != query.owner:
        raise unknown
    return values


def _terms(columns: Any, order: Sequence[str], query: TaskQuery, state_nulls: bool) -> list[sa.ColumnElement[Any]]:
    terms: list[sa.ColumnElement[Any]] = []
    for name in order:
        term = columns[name].desc() if query.descending else columns[name].asc()
        if state_nulls and name in _NULLABLE:
            term = term.nulls_last() if query.descending else term.nulls_first()
        terms.append(term)
    return terms


def _after(
    columns: _Columns, order: Sequence[str], marker: Mapping[str, Any], *, descending: bool
) -> sa.ColumnElement[bool]:
    """Return the condition for tasks that come after the marker."""
    condition: sa.ColumnElement[bool] = sa.false()
    for name in reversed(order):
        column, value = columns[name], marker[name]
        if value is None:
            beyond = sa.false() if descending else column.is_not(None)
            level = column.is_(None)
        else:
            bound = sa.literal(value, sa.DateTime() if isinstance(value, datetime) else sa.String())
            level = column == bound
            beyond = column < bound if descending else column > bound
            if descending and name in _NULLABLE:
                beyond = sa.or_(beyond, column.is_(None))
        condition = sa.or_(beyond, sa.and_(level, condition))
    return condition


# ------------------------------------------------------------------------------------------------------ Complete tasks

_INFO = ("input", "result", "message")
_COMPLETE = (
    sa.select(*(_ROWS[name] for name in TASK_COLUMNS), *(task_info.c[name] for name in _INFO))
    # a purge that was interrupted leaves tasks without it
    .select_from(tasks.outerjoin(task_info, task_info.c.task_id == tasks.c.id))
    .where(_IS_ROW)
)
_JOB = sa.select(*JOB_COLUMNS).where(_IS_JOB)


def _is_possible_id(task_id: str) -> bool:
    return len(task_id) <= 36 and storable(task_id)


def require_task_id(task_id: str, keep_hours: int) -> None:  # noqa: ARG001 - as the operation
    """:raises NotFound: this is not a possible id of a task."""
    if not _is_possible_id(task_id):
        raise NotFound(f"There is no task {task_id}.")


def get_task(connection: Connection, rows: JobRows, task_id: str, keep_hours: int) -> Task:
    """See :meth:`glimpse.db.task_base.TaskDatabase.get_task`."""
    job = connection.execute(_JOB.where(jobs.c.id == task_id)).first()
    if job is not None:
        return task_of(rows.job(job), keep_hours)
    row = connection.execute(_COMPLETE.where(tasks.c.id == task_id)).first()
    if row is None:
        raise NotFound(f"There is no task {task_id}.")
    return _complete(row)


def list_image_tasks(
    connection: Connection, rows: JobRows, image_id: str, owner: str | None, keep_hours: int, *, limit: int
) -> list[Task]:
    """See :meth:`glimpse.db.task_base.TaskDatabase.list_image_tasks`."""
    of_jobs = _JOB.where(jobs.c.image_id == image_id, _job_is_kept(keep_hours))
    of_rows = _COMPLETE.where(tasks.c.image_id == image_id, _row_is_kept())
    if owner is not None:
        of_jobs = of_jobs.where(equals(jobs.c.owner, owner))
        of_rows = of_rows.where(equals(tasks.c.owner, owner))
    of_jobs = of_jobs.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
    of_rows = of_rows.order_by(tasks.c.created_at.desc(), tasks.c.id.desc()).limit(limit)
    found = [task_of(rows.job(row), keep_hours) for row in connection.execute(of_jobs)]
    found += [_complete(row) for row in connection.execute(of_rows)]
    found.sort(key=lambda task: (task.created_at, task.id), reverse=True)
    return found[:limit]


def _complete(row: Sequence[Any]) -> Task:
    fields = dict(zip((*TASK_COLUMNS, *_INFO), row, strict=True))
    fields["input"] = object_in(fields["input"]) or {}
    fields["result"] = object_in(fields["result"])
    fields["message"] = fields["message"] or ""
    return Task(**fields)


# ------------------------------------------------------------------------------------------------------------- Expiry

_EXPIRE = (
    sa.update(tasks)
    .where(tasks.c.deleted == sa.false(), tasks.c.expires_at < sa.bindparam("moment", type_=sa.DateTime()))
    .values(deleted=True, deleted_at=sa.bindparam("moment", type_=sa.DateTime()))
)


def expire_tasks(connection: Connection, moment: datetime) -> int:
    """See :meth:`glimpse.db.task_base.TaskDatabase.expire_tasks`."""
    return connection.execute(_EXPIRE, {"moment": storable_time(connection, moment)}).rowcount
