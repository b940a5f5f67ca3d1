"""The tasks of an image: its jobs, as the wire knows them (imports-and-stores 3.5)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.job import Job, JobQuery
from glimpse.domain.job_kinds import KINDS
from glimpse.services.deps import Deps, viewer_of

#: A page is all there is: the wire has no paging here, and the records of ended jobs are forgotten after a time.
_MOST_TASKS = 1000
#: Uploads, deletions and removals of copies are no tasks of the wire.
_TASKS = tuple(name for name, kind in KINDS.items() if kind.is_task)


def tasks_of_image(deps: Deps, context: Context, image_id: str) -> list[Job]:
    """The jobs on an image that the caller's project asked for, or all of them for an admin; the newest first.

    :raises NotFound: unknown or invisible image, or policy ``get_image``.
    """
    image = deps.database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "get_image", image)
    if context.project_id is None and not context.is_admin:
        return []
    owner = None if context.is_admin else context.project_id
    return deps.database.list_jobs(JobQuery(image_id=image.id, owner=owner, types=_TASKS, limit=_MOST_TASKS))
