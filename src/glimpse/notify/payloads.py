"""Payloads of notifications about images, members and tasks: exactly the fields of configuration 11.3."""

from __future__ import annotations

from datetime import datetime

from glimpse.domain.clock import wire_time
from glimpse.domain.image import Image
from glimpse.domain.member import Member
from glimpse.domain.status import Visibility

Payload = dict[str, object]

#: Properties of an image under import that become lists of store ids.
IMPORT_LISTS = ("os_glance_importing_to_stores", "os_glance_failed_import")


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


def deletion(deleted_at: datetime | None) -> Payload:
    """The two fields that end most payloads."""
    return {
        "deleted": deleted_at is not None,
        "deleted_at": None if deleted_at is None else wire_time(deleted_at),
    }
