"""Events about changes of metadata definitions (metadefs 11). Call these after the change is committed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from glimpse.domain.clock import now
from glimpse.domain.metadef import (
    Item,
    MetadefObject,
    MetadefProperty,
    MetadefTag,
    Namespace,
    NamespaceContent,
    ResourceTypeAssociation,
)
from glimpse.domain.metadef_definitions import definitions_shown, shown
from glimpse.notify.base import Notifier
from glimpse.notify.payloads import (
    Payload,
    namespace_payload,
    object_payload,
    property_payload,
    resource_type_payload,
    tag_payload,
)

_GROUPS: dict[type[Item], str] = {
    MetadefProperty: "metadef_property",
    MetadefObject: "metadef_object",
    MetadefTag: "metadef_tag",
}


def namespace_changed(
    notifier: Notifier, change: str, namespace: Namespace, *, old: str | None = None, deleted_at: datetime | None = None
) -> None:
    """Send ``metadef_namespace.`` with ``change``; ``old`` is the name before."""
    event = f"metadef_namespace.{change}"
    if notifier.enabled(event):
        created_at, updated_at = _times(namespace)
        payload = namespace_payload(
            namespace.namespace, display_name=namespace.display_name, protected=namespace.protected,
            visibility=namespace.visibility or "private", owner=namespace.owner or "",
            description=namespace.description, created_at=created_at, updated_at=updated_at, old=old,
            deleted_at=deleted_at,
        )  # fmt: skip
        notifier.emit(event, payload)


def content_created(notifier: Notifier, content: NamespaceContent) -> None:
    """Send events for a namespace and everything created with it, in the order of creation."""
    name = content.namespace.namespace
    namespace_changed(notifier, "create", content.namespace)
    for association in content.associations:
        association_changed(notifier, "create", name, association)
    for items in (content.objects, content.tags, content.properties):
        items_created(notifier, name, items)


def items_created(notifier: Notifier, namespace: str, items: Sequence[Item]) -> None:
    """Send one event for each new item."""
    for item in items:
        item_changed(notifier, "create", namespace, item)


def item_changed(notifier: Notifier, change: str, namespace: str, item: Item, *, old: str | None = None) -> None:
    """Send ``create``, ``update`` or ``delete`` of a property, an object or a tag; ``old`` is the name before."""
    event = f"{_GROUPS[type(item)]}.{change}"
    if notifier.enabled(event):
        notifier.emit(event, _payload(namespace, item, old, now() if change == "delete" else None))


def association_changed(notifier: Notifier, change: str, namespace: str, association: ResourceTypeAssociation) -> None:
    """Send ``create`` or ``delete`` of an association."""
    event = f"metadef_resource_type.{change}"
    if notifier.enabled(event):
        created_at, updated_at = _times(association)
        payload = resource_type_payload(
            namespace, association.name, prefix=association.prefix,
            properties_target=association.properties_target, created_at=created_at, updated_at=updated_at,
            deleted_at=now() if change == "delete" else None,
        )  # fmt: skip
        notifier.emit(event, payload)


def _payload(namespace: str, item: Item, old: str | None, deleted_at: datetime | None) -> Payload:
    if isinstance(item, MetadefProperty):
        return property_payload(namespace, item.name, schema=shown(item.schema), old=old, deleted_at=deleted_at)
    created_at, updated_at = _times(item)
    if isinstance(item, MetadefObject):
        return object_payload(
            namespace, item.name, properties=definitions_shown(item.properties), required=list(item.required),
            description=item.description, created_at=created_at, updated_at=updated_at, old=old, deleted_at=deleted_at,
        )  # fmt: skip
    return tag_payload(
        namespace, item.name, created_at=created_at, updated_at=updated_at, old=old, deleted_at=deleted_at
    )


def _times(record: Namespace | ResourceTypeAssociation | Item) -> tuple[datetime, datetime]:
    """Return the times; rows of Glance's loader have no ``updated_at``."""
    created_at = record.created_at or now()
    return created_at, record.updated_at or created_at
