"""Tasks: how the API and Glance's tables show jobs (imports-and-stores 3).

The record of truth is the job (:mod:`glimpse.domain.job`). Rows of ``tasks`` that Glance wrote are shown in the same
form.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, cast

import msgspec

from glimpse.domain.job import Job, JobStatus, is_idle, needs_a_node
from glimpse.domain.job_kinds import IMAGE_IMPORT, KINDS, LOCATION_CHECK, LOCATION_IMPORT
from glimpse.domain.location_data import shown_url
from glimpse.domain.progress import Progress, progress_of, running_message
from glimpse.errors import Invalid


class TaskStatus(StrEnum):
    """The status of a task (imports-and-stores 3.6)."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILURE = "failure"


#: Task status for each job status.
TASK_STATUSES: Final = {
    JobStatus.PENDING: TaskStatus.PENDING,
    JobStatus.RUNNING: TaskStatus.PROCESSING,
    JobStatus.SUCCEEDED: TaskStatus.SUCCESS,
    JobStatus.FAILED: TaskStatus.FAILURE,
    JobStatus.CANCELLED: TaskStatus.FAILURE,
}

#: Hours until the task of a job that has ended expires, if no option says otherwise.
KEEP_HOURS: Final = 48
#: Message of a task whose data only one node has, as long as that node does not work on it.
WAITS_FOR_NODE: Final = "The import waits for the node that has the staged data."

#: Glance's type for tasks of ``POST /v2/tasks``, which Glimpse shows but does not create.
LEGACY_IMPORT: Final = "import"
#: All types of tasks, as the schema lists them (images-api 2.2).
TASK_TYPES: Final = (LEGACY_IMPORT, IMAGE_IMPORT, LOCATION_IMPORT)

_OTHER_NAMES = {LOCATION_CHECK: LOCATION_IMPORT}
#: Task type for each kind of job that is a task; all other kinds are no tasks.
TYPES_OF_KINDS: Final = {name: _OTHER_NAMES.get(name, name) for name, kind in KINDS.items() if kind.is_task}

#: The columns of the table of tasks by which a list can be filtered and sorted.
TASK_COLUMNS: Final = (
    "id", "type", "status", "owner", "expires_at", "created_at", "updated_at", "image_id", "request_id", "user_id",
)  # fmt: skip
TIME_COLUMNS: Final = frozenset({"expires_at", "created_at", "updated_at"})

#: Maximum number of hours for which a task is kept: 1000 years, so that every database can compute the time.
LONGEST_KEEP_HOURS: Final = 8_760_000


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task. Times are naive UTC; ``expires_at`` is set when it ends. Lists leave out the last four fields.

    ``progress``: of a job that has not ended; tasks that a Glance runs have none.
    """

    id: str
    type: str
    status: str
    owner: str = ""
    expires_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    image_id: str | None = None
    request_id: str | None = None
    user_id: str | None = None
    input: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    message: str = ""
    progress: Progress | None = None


class TaskQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list of tasks.

    ``owner``: the tasks of this project, None for all. ``columns`` are values of :data:`TASK_COLUMNS` that must be
    equal. ``sort_key`` is one of these columns; ties are broken by ``created_at`` and ``id``, in the same direction.
    ``marker`` is the id of the last task of the page before.
    """

    owner: str | None = None
    columns: tuple[tuple[str, str | datetime], ...] = ()
    sort_key: str = "created_at"
    descending: bool = True
    marker: str | None = None
    limit: int = 25


def task_of(job: Job, keep_hours: int) -> Task:
    """Return a job as a task, which expires ``keep_hours`` after its end.

    :raises Invalid: jobs of this kind are no tasks.
    """
    if job.type not in TYPES_OF_KINDS:
        raise Invalid(f"Jobs of the kind {job.type!r} are no tasks.")
    return Task(
        id=job.id,
        type=TYPES_OF_KINDS[job.type],
        status=TASK_STATUSES[job.status],
        owner=job.owner or "",
        expires_at=None if job.ended_at is None else job.ended_at + timedelta(hours=keep_hours),
        created_at=job.created_at,
        updated_at=job.updated_at,
        image_id=job.image_id,
        request_id=job.request_id,
        user_id=job.user_id,
        input=_task_input(job),
        result=job.result,
        message=_message(job),
        progress=progress_of(job),
    )


def _message(job: Job) -> str:
    progress = progress_of(job) if job.status is JobStatus.RUNNING else None
    if progress is None or not progress.bytes_done:
        return job.message or _wait(job)
    return running_message(job.type, progress.bytes_done, progress.bytes_total, job.message, progress.rate)


def _wait(job: Job) -> str:
    """What a job waits for. The URL of the node is not for users."""
    return WAITS_FOR_NODE if needs_a_node(job) and is_idle(job, time.time()) else ""


def _task_input(job: Job) -> dict[str, Any]:
    """Return the input in the form of imports-and-stores 3.7."""
    if job.type != IMAGE_IMPORT:
        return job.input
    return {
        "image_id": job.image_id,
        "import_req": object_in(job.input.get("request")) or {},
        "backend": list(job.input.get("stores", ())),
    }


def object_in(text: str | None) -> dict[str, Any] | None:
    """Return the JSON object in a column, or None if the column is NULL, empty or has something else."""
    if not text:
        return None
    try:
        value: object = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def shown_input(given: dict[str, Any]) -> dict[str, Any]:
    """Return the input of a task with the credentials in its URLs masked."""
    shown = _masked(given, "loc_url", "import_from")
    request = shown.get("import_req")
    if isinstance(request, dict) and isinstance(cast("dict[str, Any]", request).get("method"), dict):
        asked = cast("dict[str, Any]", request)
        shown["import_req"] = {**asked, "method": _masked(asked["method"], "uri", "checksum_uri")}
    return shown


def _masked(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    urls = {name: shown_url(fields[name]) for name in names if isinstance(fields.get(name), str)}
    return {**fields, **urls}
