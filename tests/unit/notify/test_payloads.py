"""Payloads have exactly the fields of configuration 11.3."""

from __future__ import annotations

from datetime import datetime

import msgspec

from glimpse.domain.image import Image, Member
from glimpse.domain.status import MemberStatus, Visibility
from glimpse.notify import payloads

CREATED = datetime.fromisoformat("2026-01-02T03:04:05.999999")
UPDATED = datetime.fromisoformat("2026-02-02T03:04:05")
DELETED = datetime.fromisoformat("2026-03-02T03:04:05")

IMAGE = [
    "id", "name", "status", "created_at", "updated_at", "min_disk", "min_ram", "protected", "checksum", "owner",
    "disk_format", "container_format", "size", "virtual_size", "is_public", "visibility", "properties", "tags",
    "deleted", "deleted_at",
]  # fmt: skip
NAMESPACE = [
    "namespace", "namespace_old", "display_name", "protected", "visibility", "owner", "description", "created_at",
    "updated_at", "deleted", "deleted_at",
]  # fmt: skip
SCHEMA = [
    "type", "title", "description", "default", "minimum", "maximum", "enum", "pattern", "minLength", "maxLength",
    "confidential", "items", "uniqueItems", "minItems", "maxItems", "additionalItems",
]  # fmt: skip


def as_json(payload: payloads.Payload) -> dict[str, object]:
    return msgspec.json.decode(msgspec.json.encode(payload))


def test_an_image(image: Image) -> None:
    assert as_json(payloads.image_payload(image)) == {
        "id": image.id,
        "name": "debian 12",
        "status": "queued",
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-03T03:04:05Z",
        "min_disk": 2,
        "min_ram": 512,
        "protected": False,
        "checksum": None,
        "owner": "physics",
        "disk_format": "qcow2",
        "container_format": "bare",
        "size": None,
        "virtual_size": None,
        "is_public": True,
        "visibility": "public",
        "properties": {"os_distro": "debian", "os_glance_importing_to_stores": "fast,slow", "empty": None},
        "tags": ["a", "b"],
        "deleted": False,
        "deleted_at": None,
    }


def test_an_image_that_is_not_public(image: Image) -> None:
    for visibility in (Visibility.PRIVATE, Visibility.SHARED, Visibility.COMMUNITY):
        payload = payloads.image_payload(msgspec.structs.replace(image, visibility=visibility))
        assert (payload["is_public"], payload["visibility"]) == (False, visibility.value)


def test_a_deleted_image(image: Image) -> None:
    payload = payloads.image_payload(image, deleted_at=DELETED)
    assert list(payload) == IMAGE
    assert (payload["deleted"], payload["deleted_at"]) == (True, "2026-03-02T03:04:05Z")


def test_a_transfer_has_the_two_lists_and_the_store_if_known(image: Image) -> None:
    payload = payloads.transfer_payload(image)
    assert list(payload) == [*IMAGE, "os_glance_importing_to_stores", "os_glance_failed_import"]
    assert payload["os_glance_importing_to_stores"] == ["fast", "slow"]
    assert payload["os_glance_failed_import"] == []
    assert payloads.transfer_payload(image, "fast")["backend"] == "fast"


def test_sent_data(image: Image) -> None:
    plain = payloads.send_payload(image, bytes_sent=7, receiver_project="chemistry", receiver_user="bob")
    assert plain == {
        "bytes_sent": 7,
        "image_id": image.id,
        "owner_id": "physics",
        "receiver_tenant_id": "chemistry",
        "receiver_user_id": "bob",
    }
    cached = payloads.send_payload(
        image, bytes_sent=7, receiver_project=None, receiver_user=None, destination_ip="192.0.2.1"
    )
    assert cached["destination_ip"] == "192.0.2.1"


def test_a_member() -> None:
    member = Member(image_id="i", member_id="m", status=MemberStatus.ACCEPTED, created_at=CREATED, updated_at=UPDATED)
    payload = payloads.member_payload(member, deleted_at=DELETED)
    assert payload == {
        "image_id": "i",
        "member_id": "m",
        "status": "accepted",
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-02-02T03:04:05Z",
        "deleted": True,
        "deleted_at": "2026-03-02T03:04:05Z",
    }


class TestMetadefs:
    def test_a_namespace(self) -> None:
        payload = payloads.namespace_payload(
            "OS::New", display_name=None, protected=True, visibility="public", owner="admin", description="d",
            created_at=CREATED, updated_at=UPDATED, old="OS::Old",
        )  # fmt: skip
        assert list(payload) == NAMESPACE
        assert (payload["namespace"], payload["namespace_old"], payload["deleted"]) == ("OS::New", "OS::Old", False)

    def test_an_object_sends_defaults_as_text_and_items_too(self) -> None:
        """metadefs 11: Glance sends bytes for the one and nothing at all for the other."""
        schema = {"type": "array", "items": {"type": "string"}, "default": "x", "minimum": 0, "title": "", "extra": 1}
        payload = payloads.object_payload(
            "OS::N", "obj", properties={"p": schema}, required=["p"], description=None, created_at=CREATED,
            updated_at=UPDATED, old="before",
        )  # fmt: skip
        assert list(payload) == [
            "namespace", "name", "name_old", "properties", "required", "description", "created_at", "updated_at",
            "deleted", "deleted_at",
        ]  # fmt: skip
        (found,) = msgspec.convert(payload["properties"], list[dict[str, object]])
        assert list(found) == ["name", *SCHEMA]
        assert {key: value for key, value in found.items() if value is not None} == {
            "name": "p", "type": "array", "items": {"type": "string"}, "default": "x",
        }  # fmt: skip

    def test_a_property_has_values_as_stored(self) -> None:
        payload = payloads.property_payload("OS::N", "p", schema={"type": "integer", "minimum": 0})
        assert list(payload) == ["namespace", "name", "name_old", *SCHEMA, "deleted", "deleted_at"]
        assert (payload["minimum"], payload["maximum"]) == (0, None)

    def test_a_resource_type(self) -> None:
        payload = payloads.resource_type_payload(
            "OS::N", "OS::Nova::Server", prefix="hw_", properties_target=None, created_at=CREATED, updated_at=UPDATED
        )
        assert list(payload) == [
            "namespace", "name", "name_old", "prefix", "properties_target", "created_at", "updated_at", "deleted",
            "deleted_at",
        ]  # fmt: skip

    def test_a_tag(self) -> None:
        payload = payloads.tag_payload("OS::N", "t", created_at=CREATED, updated_at=UPDATED)
        assert list(payload) == [
            "namespace", "name", "name_old", "created_at", "updated_at", "deleted", "deleted_at",
        ]  # fmt: skip
