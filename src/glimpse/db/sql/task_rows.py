"""Rows of Glance's ``tasks`` and ``task_info`` for jobs that are tasks: a Glance on the same database sees them.

The record of truth is the job (ADR 0025). A row is written in the transaction that changes its job; its
``updated_at`` is renewed with the lease of the job, so that Glance leaves the lock of the image alone
(imports-and-stores 2.9). No row has a credential: URLs are masked, and of the request only known keys are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.job_rows import JobRows
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import task_info, tasks
from glimpse.db.sql.texts import TEXT_BYTES, UNSTORABLE
from glimpse.domain.job import Job, JobChange
from glimpse.domain.progress import running_message
from glimpse.domain.task import TASK_STATUSES, TYPES_OF_KINDS, TaskStatus, shown_input, task_of

#: The keys of a request for an import that Glance knows.
_REQUEST = ("method", "stores", "all_stores", "all_stores_must_succeed")
_METHOD = ("name", "uri", "glance_region", "glance_image_id", "glance_service_interface")

_MOMENT: Any = sa.bindparam("moment", type_=sa.DateTime())
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_ID: Any = sa.bindparam("job_id", type_=sa.String())

_INSERT = sa.insert(tasks)
_INSERT_INFO = sa.insert(task_info)
_STATUS: Any = sa.bindparam("new_status", type_=sa.String())
_EXPIRY: Any = sa.bindparam("new_expires_at", type_=sa.DateTime())
_UPDATE = sa.update(tasks).where(tasks.c.id == _ID).values(status=_STATUS, updated_at=_MOMENT, expires_at=_EXPIRY)
_TEXTS = {name: sa.bindparam(f"new_{name}", type_=task_info.c[name].type) for name in ("message", "result")}
_UPDATE_INFO = sa.update(task_info).where(task_info.c.task_id == _ID).values(_TEXTS)
# an ended one stays as it is: a Glance that takes over a lock ends the task of its holder
_RUNS = tasks.c.status == TaskStatus.PROCESSING.value
_RENEW = sa.update(tasks).where(tasks.c.id.in_(_IDS), _RUNS).values(updated_at=_MOMENT)
# locks the row of ``tasks`` first, so that it waits for a transaction that ends the task, and then leaves its message
_UPDATE_MESSAGE = (
    sa.update(task_info)
    .where(task_info.c.task_id.in_(sa.select(tasks.c.id).where(tasks.c.id == _ID, _RUNS).with_for_update(read=True)))
    .values(message=_TEXTS["message"])
)
_MARK = (
    sa.update(tasks)
    .where(
        tasks.c.id.in_(sa.select(jobs.c.id).where(jobs.c.ended_at < sa.bindparam("before", type_=sa.DateTime()))),
        tasks.c.deleted == sa.false(),
    )
    .values(deleted=True, deleted_at=_MOMENT)
)


def is_task(job: Job) -> bool:
    """Tell whether a job has a row."""
    return job.type in TYPES_OF_KINDS


def add_task(connection: Connection, rows: JobRows, job: Job, moment: datetime) -> None:
    """Write the row of a job; ``moment`` is when the job was last changed."""
    task = task_of(job, rows.keep_hours)
    columns = {
        "id": task.id,
        "type": task.type,
        "status": task.status,
        "owner": task.owner,
        "expires_at": task.expires_at,
        "created_at": job.created_at,
        "updated_at": moment,
        "deleted_at": None,
        "deleted": False,
        "image_id": task.image_id,
        "request_id": task.request_id,
        "user_id": task.user_id,
    }
    connection.execute(_INSERT, columns)
    info = {"input": input_text(task.input), "result": _result_text(task.result), "message": _cut(job.message)}
    connection.execute(_INSERT_INFO, {"task_id": task.id, **info})


def show_claim(connection: Connection, rows: JobRows, job: Job) -> None:
    """Note that a process has claimed a job; one that has no row, because an older version recorded it, gets one."""
    if not _update(connection, job, TaskStatus.PROCESSING, None, job.updated_at):
        add_task(connection, rows, job, job.updated_at)


def save_task(connection: Connection, rows: JobRows, job: Job, change: JobChange, moment: datetime) -> None:
    """Note a change of a job, if its task shows it. Progress and steps are not: they come every few seconds."""
    if change.status is None and change.message is None and change.result is None:
        return
    status = TASK_STATUSES[change.status or job.status]
    ended = status in (TaskStatus.SUCCESS, TaskStatus.FAILURE)
    if not _update(connection, job, status, moment + timedelta(hours=rows.keep_hours) if ended else None, moment):
        # somebody has purged it
        return
    message = job.message if change.message is None else change.message
    result = job.result if change.result is None else change.result
    connection.execute(
        _UPDATE_INFO, {"job_id": job.id, "new_message": _cut(message), "new_result": _result_text(result)}
    )


def renew_tasks(
    connection: Connection, running: Mapping[str, tuple[str, int, int | None, str]], moment: datetime
) -> None:
    """Renew ``updated_at`` of the rows of running jobs, and note their progress as the message.

    ``running``: kind, bytes done, bytes in total and message by id.
    """
    connection.execute(_RENEW, {"ids": list(running), "moment": moment})
    messages = [
        {"job_id": job_id, "new_message": _cut(running_message(*shown))}
        for job_id, shown in running.items()
        # otherwise the row has it already
        if shown[1]
    ]
    if messages:
        connection.execute(_UPDATE_MESSAGE, messages)


def mark_forgotten(connection: Connection, ended_before: datetime, moment: datetime) -> None:
    """Mark the rows of jobs that ended before a moment as deleted; a purge removes them later."""
    connection.execute(_MARK, {"before": ended_before, "moment": moment})


def _update(
    connection: Connection, job: Job, status: TaskStatus, expires_at: datetime | None, moment: datetime
) -> bool:
    parameters = {"job_id": job.id, "new_status": status.value, "new_expires_at": expires_at, "moment": moment}
    return connection.execute(_UPDATE, parameters).rowcount == 1


def input_text(given: dict[str, Any]) -> str:
    """Return the input of a task as JSON without credentials, at most as long as the column allows.

    What does not fit loses its request first, then everything but its image.
    """
    shown = shown_input(given)
    request = shown.get("import_req")
    if isinstance(request, dict):
        shown["import_req"] = _known(cast("dict[str, Any]", request))
    short = {name: value for name, value in shown.items() if name in ("image_id", "backend")}
    for one in (shown, short):
        text = json.dumps(one)
        if len(text) <= TEXT_BYTES:
            return text
    return json.dumps({"image_id": shown.get("image_id")})


def _known(request: dict[str, Any]) -> dict[str, Any]:
    known = {name: request[name] for name in _REQUEST if name in request}
    method = known.get("method")
    if isinstance(method, dict):
        fields = cast("dict[str, Any]", method)
        known["method"] = {name: fields[name] for name in _METHOD if name in fields}
    return known


def _result_text(result: dict[str, Any] | None) -> str | None:
    """Return a result as JSON, or None if it does not fit its column."""
    text = None if result is None else json.dumps(result)
    return None if text is None or len(text) > TEXT_BYTES else text


def _cut(message: str) -> str:
    """Return as much of a message as surely fits its column; no character that can be stored has more than 3 bytes."""
    return UNSTORABLE.sub("?", message)[: TEXT_BYTES // 3]
