"""Metadata definitions in API responses (metadefs 3). Fields without a value are omitted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from glimpse.domain.clock import wire_time
from glimpse.domain.metadef import (
    MetadefObject,
    MetadefProperty,
    MetadefTag,
    Namespace,
    NamespaceContent,
    ResourceType,
    ResourceTypeAssociation,
)
from glimpse.domain.metadef_definitions import definitions_shown, shown

Document = dict[str, Any]

_SCHEMAS = "/v2/schemas/metadefs"
NAMESPACES = "/v2/metadefs/namespaces"


def namespace_document(namespace: Namespace, content: Mapping[str, object] | None = None) -> Document:
    """Return a namespace; ``content`` has the collections to show with it."""
    made: Document = {"namespace": namespace.namespace}
    if namespace.display_name is not None:
        made["display_name"] = namespace.display_name
    if namespace.description is not None:
        made["description"] = namespace.description
    made["visibility"] = namespace.visibility or "private"
    made["protected"] = namespace.protected
    made["owner"] = namespace.owner
    _add_times(made, namespace.created_at, namespace.updated_at)
    made |= content or {}
    made["self"] = f"{NAMESPACES}/{namespace.namespace}"
    made["schema"] = f"{_SCHEMAS}/namespace"
    return made


def whole_document(content: NamespaceContent, spelling: str, resource_type: str | None) -> Document:
    """Return a namespace with its content, without empty collections.

    ``spelling`` is the name in the request; property names have the prefix for ``resource_type``.
    """
    prefix = prefix_of(content, resource_type)
    objects = [object_document(one, spelling, prefix) for one in content.objects]
    collections: dict[str, object] = {
        "resource_type_associations": [association_document(one) for one in content.associations],
        "properties": properties_document(content.properties, prefix),
        "objects": objects,
        "tags": [{"name": tag.name} for tag in content.tags],
    }
    return namespace_document(content.namespace, {key: value for key, value in collections.items() if value})


def listed_document(content: NamespaceContent) -> Document:
    """Return a namespace for a list: with its associations, if any, and no other content."""
    associations = [association_document(one) for one in content.associations]
    return namespace_document(content.namespace, {"resource_type_associations": associations} if associations else None)


def created_document(content: NamespaceContent, sent: Mapping[str, Any]) -> Document:
    """Return a new namespace with the collections of its creation, including empty ones; without their times."""
    collections: dict[str, object] = {
        "resource_type_associations": [_fields_of(one) for one in content.associations],
        "properties": properties_document(content.properties),
        "objects": [
            _object_fields(one, request) for one, request in zip(content.objects, sent.get("objects", ()), strict=True)
        ],
        "tags": [{"name": tag.name} for tag in content.tags],
    }
    return namespace_document(content.namespace, {key: value for key, value in collections.items() if key in sent})


def prefix_of(content: NamespaceContent, resource_type: str | None) -> str:
    """Return the prefix of property names on a resource type; empty if it is not associated."""
    return next((one.prefix or "" for one in content.associations if one.name == resource_type), "")


def resource_type_document(resource_type: ResourceType) -> Document:
    """A resource type."""
    made: Document = {"name": resource_type.name}
    _add_times(made, resource_type.created_at, resource_type.updated_at)
    return made


def association_document(association: ResourceTypeAssociation) -> Document:
    """The association of a resource type."""
    made = _fields_of(association)
    _add_times(made, association.created_at, association.updated_at)
    return made


def properties_document(properties: tuple[MetadefProperty, ...] | list[MetadefProperty], prefix: str = "") -> Document:
    """Return definitions by name; a definition has a name inside if it was stored with one (metadefs 14, quirk 12)."""
    return {prefix + one.name: shown(one.schema) for one in properties}


def property_document(found: MetadefProperty) -> Document:
    """One property with its name."""
    return {"name": found.name, **{key: value for key, value in shown(found.schema).items() if key != "name"}}


def object_document(found: MetadefObject, namespace: str, prefix: str = "") -> Document:
    """Return an object for reading: always with ``required`` and ``properties``."""
    made: Document = {"name": found.name}
    if found.description is not None:
        made["description"] = found.description
    made["required"] = [prefix + name for name in found.required]
    made["properties"] = {prefix + name: one for name, one in definitions_shown(found.properties).items()}
    return _linked(made, found, namespace)


def object_echo(written: MetadefObject, namespace: str, sent: Mapping[str, Any]) -> Document:
    """Return an object after its creation or change, with the fields that were sent."""
    return _linked(_object_fields(written, sent), written, namespace)


def tag_document(tag: MetadefTag) -> Document:
    """One tag with its times."""
    made: Document = {"name": tag.name}
    _add_times(made, tag.created_at, tag.updated_at)
    return made


def _object_fields(written: MetadefObject, sent: Mapping[str, Any]) -> Document:
    fields: Document = {
        "name": written.name,
        "description": written.description,
        "required": list(written.required),
        "properties": definitions_shown(written.properties),
    }
    return {key: value for key, value in fields.items() if key in sent}


def _linked(made: Document, found: MetadefObject, namespace: str) -> Document:
    _add_times(made, found.created_at, found.updated_at)
    made["self"] = f"{NAMESPACES}/{namespace}/objects/{found.name}"
    made["schema"] = f"{_SCHEMAS}/object"
    return made


def _fields_of(association: ResourceTypeAssociation) -> Document:
    made: Document = {"name": association.name}
    if association.prefix is not None:
        made["prefix"] = association.prefix
    if association.properties_target is not None:
        made["properties_target"] = association.properties_target
    return made


def _add_times(made: Document, created_at: datetime | None, updated_at: datetime | None) -> None:
    if created_at is not None:
        made["created_at"] = wire_time(created_at)
    if updated_at is not None:
        made["updated_at"] = wire_time(updated_at)
