"""Payloads of notifications about images, members and tasks: exactly the fields of configuration 11.3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from glimpse.domain.clock import wire_time
from glimpse.domain.image import Image, Member
from glimpse.domain.imports import FAILED_STORES, IMPORTING_TO
from glimpse.domain.status import Visibility
from glimpse.domain.task import Task

Payload = dict[str, object]

#: Properties of an image under import that become lists of store ids.
IMPORT_LISTS = (IMPORTING_TO, FAILED_STORES)


def image_payload(image: Image, *, deleted_at: datetime | None = None) -> Payload:
    """IMAGE. It never contains locations or ``os_hash_*``, but does contain hidden properties."""
    return {
        "id": image.id,
        "name": image.name,
        "status": image.status,
        "created_at": wire_time(image.created_at),
        "updated_at": wire_time(image.updated_at),
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "protected": image.protected,
        "checksum": image.checksum,
        "owner": image.owner,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "is_public": image.visibility is Visibility.PUBLIC,
        "visibility": image.visibility,
        "properties": image.properties,
        "tags": image.tags,
        **deletion(deleted_at),
    }


def transfer_payload(image: Image, store: str | None = None) -> Payload:
    """IMAGE + IMPORT, with ``backend`` if the id of the ``store`` is known."""
    payload = image_payload(image)
    for name in IMPORT_LISTS:
        payload[name] = [entry for entry in (image.properties.get(name) or "").split(",") if entry]
    if store is not None:
        payload["backend"] = store
    return payload


def send_payload(
    image: Image,
    *,
    bytes_sent: int,
    receiver_project: str | None,
    receiver_user: str | None,
    destination_ip: str | None = None,
) -> Payload:
    """SEND; ``destination_ip`` only for data that the cache served."""
    payload: Payload = {
        "bytes_sent": bytes_sent,
        "image_id": image.id,
        "owner_id": image.owner,
        "receiver_tenant_id": receiver_project,
        "receiver_user_id": receiver_user,
    }
    if destination_ip is not None:
        payload["destination_ip"] = destination_ip
    return payload


def member_payload(member: Member, *, deleted_at: datetime | None = None) -> Payload:
    """MEMBER."""
    return {
        "image_id": member.image_id,
        "member_id": member.member_id,
        "status": member.status,
        "created_at": wire_time(member.created_at),
        "updated_at": wire_time(member.updated_at),
        **deletion(deleted_at),
    }


def task_payload(task: Task) -> Payload:
    """TASK. The input, the result and the message, which may name a source, are never sent.

    Consumers expect a time as ``expires_at``: of a task that has not ended it is that of its last change.
    """
    return {
        "id": task.id,
        "type": task.type,
        "status": task.status,
        "result": None,
        "owner": task.owner,
        "message": None,
        "expires_at": wire_time(task.expires_at or task.updated_at),
        "created_at": wire_time(task.created_at),
        "updated_at": wire_time(task.updated_at),
        **deletion(None),
    }


def deletion(deleted_at: datetime | None) -> Payload:
    """The two fields that end most payloads."""
    return {
        "deleted": deleted_at is not None,
        "deleted_at": None if deleted_at is None else wire_time(deleted_at),
    }


# ----------------------------- Payloads of notifications about metadata definitions (configuration 11.3; metadefs 11)
# ``old`` is the name before an update. Null keys are present, unlike in API responses.

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
