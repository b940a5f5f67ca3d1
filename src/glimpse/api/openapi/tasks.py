"""Tasks of all images (imports-and-stores 3)."""

from __future__ import annotations

from collections.abc import Mapping

from glimpse.api.openapi.images import TASKS
from glimpse.api.openapi.operation import NO_CONTENT, Answer, Fragment, Operation, json_of, query
from glimpse.domain.task import TASK_COLUMNS, TASK_TYPES, TIME_COLUMNS, TaskStatus

_TEXT: Fragment = {"type": "string"}
_CHOICES = {"status": [status.value for status in TaskStatus], "type": list(TASK_TYPES)}


def _parameters() -> tuple[Fragment, ...]:
    plain = [name for name in TASK_COLUMNS if name not in TIME_COLUMNS and name not in _CHOICES]
    return (
        query("limit", "Tasks per page, up to the service's maximum.", {"type": "integer", "minimum": 0}),
        query("marker", "Id of the last task of the previous page.", _TEXT),
        query("sort_key", "Sort key.", {**_TEXT, "enum": sorted(TASK_COLUMNS)}),
        query("sort_dir", "Direction.", {**_TEXT, "enum": ["asc", "desc"]}),
        *(query(name, "Exact value.", {**_TEXT, "enum": values}) for name, values in _CHOICES.items()),
        *(query(name, "Exact value.", _TEXT) for name in plain),
        *(query(name, "Exact time in ISO 8601.", _TEXT) for name in sorted(TIME_COLUMNS)),
    )


OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/tasks"): Operation(
        id="list_tasks", summary="List the tasks of all images, one page at a time", tag=TASKS,
        parameters=_parameters(),
        answers={200: Answer(text="One page of tasks that have not expired.", content=json_of("Tasks"))},
        refusals=(403,),
    ),
    ("POST", "/tasks"): Operation(
        id="create_task", summary="Refused: only the service creates tasks", tag=TASKS,
        body=json_of("TaskCreate"), answers={}, refusals=(403,),
    ),
    ("GET", "/tasks/{task_id}"): Operation(
        id="show_task", summary="Show a task", tag=TASKS,
        answers={200: Answer(text="The task.", content=json_of("Task"))}, refusals=(403,),
    ),
    ("DELETE", "/tasks/{task_id}"): Operation(
        id="cancel_task", summary="Cancel an unfinished task; others are removed when they expire", tag=TASKS,
        answers={204: NO_CONTENT},
        refusals=(403,),
    ),
}  # fmt: skip
