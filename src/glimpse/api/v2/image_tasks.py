"""``/v2/images/{id}/tasks`` (imports-and-stores 3.5)."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from glimpse.api.request import Reply, Request, json_reply
from glimpse.domain.job import Job, JobStatus
from glimpse.domain.location_data import shown_url
from glimpse.services.image_tasks import tasks_of_image

#: Fields of an input that may contain credentials.
_URL = "loc_url"
#: Task status in the API for each job status.
_STATUSES = {
    JobStatus.PENDING: "pending",
    JobStatus.RUNNING: "processing",
    JobStatus.SUCCEEDED: "success",
    JobStatus.FAILED: "failure",
    JobStatus.CANCELLED: "failure",
}


async def list_(request: Request) -> Reply:
    """GET: 200 with all tasks of the image, without pages."""
    jobs = await request.blocking(tasks_of_image, request.deps, request.context, request.params["image_id"])
    kept = timedelta(hours=request.settings.jobs.keep_hours)
    rows = [task_row(job, kept, sees_credentials=request.context.sees_credentials) for job in jobs]
    return json_reply(msgspec.json.encode({"tasks": rows}))


def task_row(job: Job, kept: timedelta, *, sees_credentials: bool) -> dict[str, object]:
    """Return a job as a task, with times without ``Z``; ``kept`` is how long finished jobs are kept."""
    given = job.input
    if _URL in given and not sees_credentials:
        given = {**given, _URL: shown_url(given[_URL])}
    return {
        "id": job.id,
        "type": job.type,
        "status": _STATUSES[job.status],
        "owner": job.owner,
        "image_id": job.image_id,
        "request_id": job.request_id,
        "user_id": job.user_id,
        "expires_at": None if job.ended_at is None else _moment(job.ended_at + kept),
        "created_at": _moment(job.created_at),
        "updated_at": _moment(job.updated_at),
        "deleted_at": None,
        "deleted": False,
        "message": job.message,
        "result": job.result,
        "input": given,
    }


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
