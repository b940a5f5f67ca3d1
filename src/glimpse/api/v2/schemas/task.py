"""The schemas ``task`` and ``tasks`` (images-api 2.2)."""

from __future__ import annotations

from glimpse.api.v2.schemas.image import UUID_PATTERN, Fragment, link

#: Fields that a list of tasks omits.
_DETAIL = ("input", "result", "message")


def task_schema() -> Fragment:
    """The document ``task``."""
    return {
        "name": "task",
        "properties": {
            "id": {"description": "Identifier of the task", "type": "string", "pattern": UUID_PATTERN},
            "type": {
                "description": "Kind of work",
                "type": "string",
                "enum": ["import", "api_image_import", "location_import"],
            },
            "status": {
                "description": "Status of the task",
                "type": "string",
                "enum": ["pending", "processing", "success", "failure"],
            },
            "input": {"description": "Input of the task", "type": ["null", "object"]},
            "result": {"description": "Result of the task", "type": ["null", "object"]},
            "owner": {"description": "Project that the task belongs to", "type": "string"},
            "message": {"description": "Message about the outcome", "type": "string"},
            "image_id": {"description": "Image of the task", "type": "string"},
            "request_id": {"description": "Request that started the task", "type": "string"},
            "user_id": {"description": "User who started the task", "type": "string"},
            "expires_at": {"description": "Time after which the record may be removed", "type": ["null", "string"]},
            "created_at": {"description": "Time of creation", "type": "string"},
            "updated_at": {"description": "Time of the last change", "type": "string"},
            "self": {"description": "Path of the task", "type": "string", "readOnly": True},
            "schema": {"description": "Path of this schema", "type": "string", "readOnly": True},
        },
    }


def tasks_schema() -> Fragment:
    """The document ``tasks``."""
    task = task_schema()
    task["properties"] = {name: value for name, value in task["properties"].items() if name not in _DETAIL}
    return {
        "name": "tasks",
        "properties": {
            "tasks": {"description": "All tasks shown", "type": "array", "items": task},
            "schema": {"description": "Path of this schema", "type": "string"},
        },
        "links": [link("describedby", "schema")],
    }
