"""Payloads of notifications about metadata definitions (configuration 11.3; metadefs 11).

``old`` is the name before an update. Null keys are present, unlike in API responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from glimpse.domain.clock import wire_time
from glimpse.notify.payloads import Payload, deletion

#: Fields of a property's schema, which have the same names in the payload.
SCHEMA_FIELDS = (
    "type", "title", "description", "default", "minimum", "maximum", "enum", "pattern", "minLength", "maxLength",
    "confidential", "items", "uniqueItems", "minItems", "maxItems", "additionalItems",
)  # fmt: skip


def namespace_payload(
    namespace: str,
    *,
    display_name: str | None,
    protected: bool,
    visibility: str,
    owner: str,
    description: str | None,
    created_at: datetime,
    updated_at: datetime,
    old: str | None = None,
    deleted_at: datetime | None = None,
) -> Payload:
    """NAMESPACE."""
    return {
        "namespace": namespace,
        "namespace_old": old,
        "display_name": display_name,
        "protected": protected,
        "visibility": visibility,
        "owner": owner,
        "description": description,
        **_times(created_at, updated_at),
        **deletion(deleted_at),
    }


def object_payload(
    namespace: str,
    name: str,
    *,
    properties: Mapping[str, Mapping[str, object]],
    required: Sequence[str] | None,
    description: str | None,
    created_at: datetime,
    updated_at: datetime,
    old: str | None = None,
    deleted_at: datetime | None = None,
) -> Payload:
    """OBJECT. Falsy values of a property are null; ``default`` is the text itself, and ``items`` is sent too."""
    listed = [
        {"name": key, **{field: schema.get(field) or None for field in SCHEMA_FIELDS}}
        for key, schema in properties.items()
    ]
    return {
        "namespace": namespace,
        "name": name,
        "name_old": old,
        "properties": listed,
        "required": required,
        "description": description,
        **_times(created_at, updated_at),
        **deletion(deleted_at),
    }


def property_payload(
    namespace: str,
    name: str,
    *,
    schema: Mapping[str, object],
    old: str | None = None,
    deleted_at: datetime | None = None,
) -> Payload:
    """PROPERTY, with the values of ``schema`` as they are stored."""
    return {
        "namespace": namespace,
        "name": name,
        "name_old": old,
        **{field: schema.get(field) for field in SCHEMA_FIELDS},
        **deletion(deleted_at),
    }


def resource_type_payload(
    namespace: str,
    name: str,
    *,
    prefix: str | None,
    properties_target: str | None,
    created_at: datetime,
    updated_at: datetime,
    deleted_at: datetime | None = None,
) -> Payload:
    """RESOURCE_TYPE: the association of one with a namespace; it is never renamed."""
    return {
        "namespace": namespace,
        "name": name,
        "name_old": None,
        "prefix": prefix,
        "properties_target": properties_target,
        **_times(created_at, updated_at),
        **deletion(deleted_at),
    }


def tag_payload(
    namespace: str,
    name: str,
    *,
    created_at: datetime,
    updated_at: datetime,
    old: str | None = None,
    deleted_at: datetime | None = None,
) -> Payload:
    """TAG."""
    return {
        "namespace": namespace,
        "name": name,
        "name_old": old,
        **_times(created_at, updated_at),
        **deletion(deleted_at),
    }


def _times(created_at: datetime, updated_at: datetime) -> Payload:
    return {"created_at": wire_time(created_at), "updated_at": wire_time(updated_at)}
