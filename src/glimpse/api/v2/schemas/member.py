"""The schemas ``member`` and ``members`` (images-api 2.2)."""

from __future__ import annotations

from glimpse.api.v2.schemas.image import UUID_PATTERN, Fragment, link
from glimpse.domain.status import MemberStatus


def member_schema() -> Fragment:
    """The document ``member``."""
    return {
        "name": "member",
        "properties": {
            "member_id": {"description": "Project that the image is shared with", "type": "string"},
            "image_id": {"description": "Identifier of the image", "type": "string", "pattern": UUID_PATTERN},
            "created_at": {"description": "Time of sharing", "type": "string"},
            "updated_at": {"description": "Time of the last change", "type": "string"},
            "status": {
                "description": "Answer of the project",
                "type": "string",
                "enum": [str(status) for status in MemberStatus],
            },
            "schema": {"description": "Path of this schema", "type": "string", "readOnly": True},
        },
    }


def members_schema() -> Fragment:
    """The document ``members``."""
    return {
        "name": "members",
        "properties": {
            "members": {"description": "All memberships shown", "type": "array", "items": member_schema()},
            "schema": {"description": "Path of this schema", "type": "string"},
        },
        "links": [link("describedby", "schema")],
    }
