"""Tasks in responses (imports-and-stores 3.2)."""

from __future__ import annotations

import msgspec

from glimpse.api.request import Request
from glimpse.domain.clock import wire_time
from glimpse.domain.task import Task, shown_input

#: The only store in the input of an import where stores have no names; Glance has null there.
_WITHOUT_NAME = ["default"]


def input_view(request: Request, task: Task) -> dict[str, object]:
    """Return the input of a task; the credentials in its URLs are masked for callers who may not see them."""
    given = task.input if request.context.sees_credentials else shown_input(task.input)
    if given.get("backend") == _WITHOUT_NAME and not request.settings.stores.named:
        return {**given, "backend": [None]}
    return given


def stub(task: Task) -> dict[str, object]:
    """Return an element of a list."""
    document: dict[str, object] = {
        "id": task.id,
        "type": task.type,
        "status": task.status,
        "owner": task.owner,
        "created_at": wire_time(task.created_at),
        "updated_at": wire_time(task.updated_at),
    }
    if task.expires_at is not None:
        document["expires_at"] = wire_time(task.expires_at)
    return {**document, "self": f"/v2/tasks/{task.id}", "schema": "/v2/schemas/task"}


def progress_view(task: Task) -> dict[str, object] | None:
    """Return the progress of a task that a job of this service does, an extension; None once it has ended."""
    return None if task.progress is None else msgspec.structs.asdict(task.progress)


def full(request: Request, task: Task) -> dict[str, object]:
    """Return a complete task; ids that are not set are left out."""
    ids = {"image_id": task.image_id, "request_id": task.request_id, "user_id": task.user_id}
    return {
        **stub(task),
        "input": input_view(request, task),
        "result": task.result,
        "message": task.message,
        **({} if task.progress is None else {"progress": progress_view(task)}),
        **{name: value for name, value in ids.items() if value is not None},
    }
