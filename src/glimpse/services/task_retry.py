"""A failed import is begun again, by those who may import into its image; an extension that Glance does not have."""

from __future__ import annotations

from typing import Any, cast

from glimpse.context import Context
from glimpse.domain.imports import ImportRequest, import_request
from glimpse.domain.job_kinds import IMAGE_IMPORT, ImageImportInput, input_of
from glimpse.domain.location_data import is_masked
from glimpse.domain.task import Task, TaskStatus
from glimpse.errors import Conflict, NotFound
from glimpse.services.deps import Deps, viewer_of
from glimpse.services.image_import import import_image
from glimpse.services.stage_forwarding import NodeAnswer, Passage


def retry_import(
    deps: Deps, context: Context, image_id: str, task_id: str, keep_hours: int, passage: Passage
) -> NodeAnswer | None:
    """Make the request of a failed import again, for the same stores; its job is a new one, and so is its task.

    Raises the errors of :func:`glimpse.services.image_import.import_image`, because it makes the same checks, and:

    :raises NotFound: the image has no such task of the caller's project.
    :raises Conflict: the task is no import, or has not failed.
    """
    image = deps.database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "get_image", image)
    task = deps.database.get_task(task_id, keep_hours)
    is_own = context.project_id is not None and task.owner == context.project_id
    if task.image_id != image.id or not (is_own or context.is_admin):
        raise NotFound(f"There is no task {task_id}.")
    request = _request_of(deps, task)
    return import_image(deps, context, image.id, request, None, passage, by_sdk=_had_digests(deps, task))


def _had_digests(deps: Deps, task: Task) -> bool:
    """Whether the digests that openstacksdk has set in properties of the image counted for a failed import."""
    try:
        job = deps.database.get_job(task.id)
    except NotFound:
        # Glance recorded it
        return False
    given: ImageImportInput = input_of(job)
    return bool(given.digests)


def _request_of(deps: Deps, task: Task) -> ImportRequest:
    """Return the request of a failed import, with the stores that it chose.

    :raises Conflict: the task is no import, has not failed, or its request is not known completely.
    :raises Invalid: its method is not offered any more.
    """
    if task.type != IMAGE_IMPORT:
        raise Conflict(f"Task {task.id} is no import of an image.")
    if task.status != TaskStatus.FAILURE:
        raise Conflict(f"Task {task.id} has the status {task.status}; only a failed one can be retried.")
    given: object = task.input.get("import_req")
    method: object = cast("dict[str, Any]", given).get("method") if isinstance(given, dict) else None
    if not isinstance(method, dict):
        raise Conflict(f"The request of task {task.id} was not kept; send it again.")
    texts = [value for value in cast("dict[str, Any]", method).values() if isinstance(value, str)]
    if any(map(is_masked, texts)):
        raise Conflict(f"The URL of task {task.id} was kept without its credentials; send the request again.")
    document = cast("dict[str, Any]", given)
    stores: object = task.input.get("backend")
    # the stores of the header X-Image-Meta-Store, or the default at that time
    if deps.stores.named and stores and not document.get("all_stores") and document.get("stores") is None:
        document = {**document, "stores": stores}
    return import_request(document, deps.import_methods)
