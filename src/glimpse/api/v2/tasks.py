"""``/v2/tasks`` and ``/v2/tasks/{id}`` (imports-and-stores 3). The policy is checked before everything else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NoReturn, cast

import msgspec

from glimpse.api.errors import Refusal
from glimpse.api.json_body import json_object
from glimpse.api.request import NO_CONTENT, Reply, Request, json_reply
from glimpse.api.v2.task_query import parse_task_list
from glimpse.api.v2.task_views import full, stub
from glimpse.domain.task import LEGACY_IMPORT, TASK_TYPES
from glimpse.errors import Invalid
from glimpse.services.tasks import cancel_task, list_tasks, require_access, show_task

_encode = msgspec.json.Encoder().encode
_FIELDS = frozenset({"type", "input"})
_SCHEMES = ("http", "https")


async def list_(request: Request) -> Reply:
    """GET: 200 with one page of tasks and the links to the first and the next one."""
    await request.blocking(require_access, request.deps, request.context)
    listing = parse_task_list(request.scope["query_string"], request.settings.limits)
    keep_hours = request.settings.jobs.keep_hours
    tasks = await request.blocking(list_tasks, request.deps, request.context, listing.query, keep_hours)
    page: dict[str, object] = {"tasks": [stub(task) for task in tasks], "first": listing.first}
    if tasks and len(tasks) == listing.query.limit:
        page["next"] = listing.next_link(tasks[-1].id)
    return json_reply(_encode({**page, "schema": "/v2/schemas/tasks"}))


async def show(request: Request) -> Reply:
    """GET: 200 with the task."""
    task_id, keep_hours = request.params["task_id"], request.settings.jobs.keep_hours
    task = await request.blocking(show_task, request.deps, request.context, task_id, keep_hours)
    return json_reply(_encode(full(request, task)))


async def create(request: Request) -> NoReturn:
    """POST: always refused, after the checks of the body that Glance makes.

    A task of the type ``import`` would let its caller have any URL fetched into an image without an owner. Nothing is
    fetched or resolved here.
    """
    await request.blocking(require_access, request.deps, request.context)
    _check(await request.read(partial(json_object, max_bytes=request.settings.limits.max_json_body)))
    raise Invalid(
        "Tasks cannot be created. To import data into an image, use POST /v2/images/{image_id}/import; "
        "its task is created by the service."
    )


async def delete(request: Request) -> Reply:
    """DELETE: 204 if the task is not finished, which is then cancelled; otherwise refused."""
    if await request.blocking(cancel_task, request.deps, request.context, request.params["task_id"]):
        return NO_CONTENT
    raise Refusal(
        405, "Tasks cannot be deleted. They are removed automatically when they expire.", ((b"allow", b"GET"),)
    )


def _check(document: Mapping[str, object]) -> None:
    unknown = document.keys() - _FIELDS
    if unknown:
        raise Invalid("A task has only 'type' and 'input'.")
    kind, given = document.get("type"), document.get("input")
    if kind not in TASK_TYPES:
        raise Invalid(f"The key 'type' must be one of {', '.join(TASK_TYPES)}.")
    if not isinstance(given, dict):
        raise Invalid("The key 'input' must be an object.")
    if kind == LEGACY_IMPORT:
        source = cast("dict[str, Any]", given).get("import_from")
        if not isinstance(source, str) or source.partition("://")[0].lower() not in _SCHEMES:
            raise Invalid(f"The key 'import_from' must be a URL with one of the schemes {', '.join(_SCHEMES)}.")
