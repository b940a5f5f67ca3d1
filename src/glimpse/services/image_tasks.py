"""The tasks of an image (imports-and-stores 3.5)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.task import Task
from glimpse.services.deps import Deps, viewer_of

#: Maximum number of tasks in a response: the API has no paging here, and ended tasks expire.
_MOST_TASKS = 1000


def tasks_of_image(deps: Deps, context: Context, image_id: str, keep_hours: int) -> list[Task]:
    """Return the tasks of an image that the caller's project started, or all of them for an admin; the newest first.

    :raises NotFound: unknown or invisible image, or policy ``get_image``.
    """
    image = deps.database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "get_image", image)
    if context.project_id is None and not context.is_admin:
        return []
    owner = None if context.is_admin else context.project_id
    return deps.database.list_image_tasks(image.id, owner, keep_hours, limit=_MOST_TASKS)
