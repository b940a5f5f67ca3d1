"""Tasks of all images, for administrators (imports-and-stores 3)."""

from __future__ import annotations

import msgspec

from glimpse.context import Context
from glimpse.domain.task import Task, TaskQuery
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
    if not context.is_admin and (context.project_id is None or task.owner != context.project_id):
        raise NotFound(f"There is no task {task_id}.")
    return task
