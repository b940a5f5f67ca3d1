"""The schemas ``image`` and ``images`` (images-api 2.1 and 2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from glimpse.domain.status import MemberStatus, Status, Visibility

# ------------------------------------------------------ The schemas ``image`` and ``images`` (images-api 2.1 and 2.2)

Fragment = dict[str, Any]

UUID_PATTERN = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"


def base_properties(container_formats: Iterable[str], disk_formats: Iterable[str]) -> dict[str, Fragment]:
    """Return the base attributes of an image in the API's order."""
    return {
        "id": {"description": "Identifier of the image", "type": "string", "pattern": UUID_PATTERN},
        "name": {
            "description": "Name for people, not necessarily unique",
            "type": ["null", "string"],
            "maxLength": 255,
        },
        "status": _read_only("Status of the image", "string", enum=[str(status) for status in Status]),
        "visibility": {
            "description": "Who can see the image",
            "type": "string",
            "enum": [str(visibility) for visibility in Visibility],
        },
        "protected": {"description": "Whether the image is protected from deletion", "type": "boolean"},
        "os_hidden": {"description": "Whether the image is omitted from lists by default", "type": "boolean"},
        "checksum": _read_only("MD5 of the data, in hex", ["null", "string"], maxLength=32),
        "os_hash_algo": _read_only("Algorithm of os_hash_value", ["null", "string"], maxLength=64),
        "os_hash_value": _read_only("Digest of the data, in hex", ["null", "string"], maxLength=128),
        "owner": {"description": "Project that owns the image", "type": ["null", "string"], "maxLength": 255},
        "size": _read_only("Length of the data in bytes", ["null", "integer"]),
        "virtual_size": _read_only("Size of the disk inside the data, in bytes", ["null", "integer"]),
        "container_format": _format("Format of the container around the disk", container_formats),
        "disk_format": _format("Format of the disk", disk_formats),
        "created_at": _read_only("Time of creation", "string"),
        "updated_at": _read_only("Time of the last change", "string"),
        "tags": {"description": "Labels", "type": "array", "items": {"type": "string", "maxLength": 255}},
        "direct_url": _read_only("Where a store keeps the data", "string"),
        "min_ram": {"description": "Memory that a machine needs, in MiB", "type": "integer"},
        "min_disk": {"description": "Disk that a machine needs, in GiB", "type": "integer"},
        "self": _read_only("Path of the image", "string"),
        "file": _read_only("Path of the data", "string"),
        "stores": _read_only("Stores that hold the data, separated by commas", "string"),
        "schema": _read_only("Path of this schema", "string"),
        "locations": {
            "description": "Locations of the data in stores, with their metadata",
            "type": "array",
            "items": _location(),
        },
    }


def image_schema(properties: Mapping[str, Fragment], required: Iterable[str]) -> Fragment:
    """Build the document ``image`` with all properties, including custom ones."""
    names = list(required)
    return {
        "name": "image",
        "properties": dict(properties),
        "additionalProperties": {"type": "string"},
        **({"required": names} if names else {}),
        "links": [link("self"), link("enclosure", "file"), link("describedby", "schema")],
    }


def images_schema(image: Fragment) -> Fragment:
    """Build the document ``images`` around the document ``image``."""
    return {
        "name": "images",
        "properties": {
            "images": {"description": "One page of images", "type": "array", "items": image},
            "first": {"description": "Path of the first page", "type": "string"},
            "next": {"description": "Path of the next page", "type": "string"},
            "schema": {"description": "Path of this schema", "type": "string"},
        },
        "links": [link("first"), link("next"), link("describedby", "schema")],
    }


def link(relation: str, field: str | None = None) -> dict[str, str]:
    """Build a link whose target is the value of ``field``, by default the field named like the relation."""
    return {"rel": relation, "href": f"{{{field or relation}}}"}


def _read_only(description: str, types: str | list[str], **constraints: object) -> Fragment:
    return {"description": description, "type": types, **constraints, "readOnly": True}


def _format(description: str, formats: Iterable[str]) -> Fragment:
    return {"description": description, "type": ["null", "string"], "enum": [None, *formats]}


def _location() -> Fragment:
    return {
        "type": "object",
        "properties": {
            "url": {"description": "Address in the store", "type": "string", "maxLength": 255},
            "metadata": {"description": "Metadata of this location", "type": "object"},
            "validation_data": {
                "description": "Digests that the data must have",
                "type": "object",
                "writeOnly": True,
                "additionalProperties": False,
                "properties": {
                    "checksum": {"description": "MD5, in hex", "type": "string", "minLength": 32, "maxLength": 32},
                    "os_hash_algo": {"description": "Algorithm", "type": "string", "maxLength": 64},
                    "os_hash_value": {"description": "Digest, in hex", "type": "string", "maxLength": 128},
                },
                "required": ["os_hash_algo", "os_hash_value"],
            },
        },
        "required": ["url", "metadata"],
    }


# ------------------------------------------------------------ The schemas ``member`` and ``members`` (images-api 2.2)


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


# ---------------------------------------------------------------- The schemas ``task`` and ``tasks`` (images-api 2.2)

#: Fields that a list of tasks omits.
_DETAIL = ("input", "result", "message", "progress")


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
            "progress": {"description": "Progress of an unfinished task", "type": ["null", "object"]},
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
