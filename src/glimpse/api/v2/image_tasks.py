"""``/v2/images/{id}/tasks`` (imports-and-stores 3.5), and the retry of a failed import, which Glance does not have."""

from __future__ import annotations

from datetime import datetime

import msgspec

from glimpse.api.request import Reply, Request, json_reply
from glimpse.api.v2.other_nodes import passage_of, passed_on
from glimpse.api.v2.task_views import input_view, progress_view
from glimpse.domain.task import Task
from glimpse.services.image_tasks import tasks_of_image
from glimpse.services.task_retry import retry_import


async def list_(request: Request) -> Reply:
    """GET: 200 with all tasks of the image, without pages."""
    keep_hours = request.settings.jobs.keep_hours
    image_id = request.params["image_id"]
    tasks = await request.blocking(tasks_of_image, request.deps, request.context, image_id, keep_hours)
    return json_reply(msgspec.json.encode({"tasks": [_row(request, task) for task in tasks]}))


async def retry(request: Request) -> Reply:
    """POST: 202 without a body once the import is recorded again, or what the node answers that has the staged data."""
    keep_hours, params = request.settings.jobs.keep_hours, request.params
    # as for the first request: a host name may be resolved, or another node asked
    answer = await request.storing(
        retry_import,
        request.deps,
        request.context,
        params["image_id"],
        params["task_id"],
        keep_hours,
        passage_of(request),
    )
    return Reply(202) if answer is None else passed_on(answer)


def _row(request: Request, task: Task) -> dict[str, object]:
    """Return a task as a row of the table, with times without ``Z``."""
    return {
        "id": task.id,
        "type": task.type,
        "status": task.status,
        "owner": task.owner,
        "image_id": task.image_id,
        "request_id": task.request_id,
        "user_id": task.user_id,
        "expires_at": None if task.expires_at is None else _moment(task.expires_at),
        "created_at": _moment(task.created_at),
        "updated_at": _moment(task.updated_at),
        "deleted_at": None,
        "deleted": False,
        "message": task.message,
        "result": task.result,
        "input": input_view(request, task),
        "progress": progress_view(task),
    }


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
