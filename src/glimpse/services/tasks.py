"""Tasks of all images, for administrators (imports-and-stores 3)."""

from __future__ import annotations

import msgspec

from glimpse.context import Context
from glimpse.domain.job import ENDED
from glimpse.domain.task import TYPES_OF_KINDS, Task, TaskQuery
from glimpse.errors import NotFound
from glimpse.services.deps import Deps

_RULE = "tasks_api_access"


def require_access(deps: Deps, context: Context) -> None:
    """:raises Forbidden: policy ``tasks_api_access``."""
    deps.policy.require(context, _RULE, {})


def list_tasks(deps: Deps, context: Context, query: TaskQuery, keep_hours: int) -> list[Task]:
    """List tasks that have not expired: all for an admin, those of their project for other callers.

    :raises Forbidden: policy ``tasks_api_access``.
    :raises MarkerUnknown: the marker names no such task.
    """
    require_access(deps, context)
    if context.is_admin:
        return deps.database.list_tasks(query, keep_hours)
    if context.project_id is None:
        return []
    return deps.database.list_tasks(msgspec.structs.replace(query, owner=context.project_id), keep_hours)


def show_task(deps: Deps, context: Context, task_id: str, keep_hours: int) -> Task:
    """Return one task.

    :raises Forbidden: policy ``tasks_api_access``.
    :raises NotFound: no such task, or one of another project and the caller is no admin.
    """
    require_access(deps, context)
    task = deps.database.get_task(task_id, keep_hours)
    if not _may_see(context, task.owner):
        raise NotFound(f"There is no task {task_id}.")
    return task


def cancel_task(deps: Deps, context: Context, task_id: str) -> bool:
    """Ask an unfinished job that is a task to stop. It then cleans up its image.

    Return False, and change nothing, if there is no such job: the task has ended, a Glance runs it, it does not exist,
    or it belongs to another project and the caller is no admin.

    :raises Forbidden: policy ``tasks_api_access``.
    """
    require_access(deps, context)
    try:
        job = deps.database.get_job(task_id)
    except NotFound:
        return False
    if job.type not in TYPES_OF_KINDS or not _may_see(context, job.owner):
        return False
    if job.status in ENDED or deps.database.cancel_job(job.id).status in ENDED:
        return False
    deps.jobs.wakeup.set()
    return True


def _may_see(context: Context, owner: str | None) -> bool:
    return context.is_admin or (context.project_id is not None and owner == context.project_id)
