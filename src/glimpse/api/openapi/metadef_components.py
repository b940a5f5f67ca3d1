"""Schemas of the operations on metadata definitions."""

from __future__ import annotations

from glimpse.api.openapi.operation import Fragment, ref
from glimpse.api.v2.metadefs import accepted
from glimpse.api.v2.metadefs.schemas import TYPES

_TEXT: Fragment = {"type": "string"}
_FLAG: Fragment = {"type": "boolean"}
_WHOLE: Fragment = {"type": "integer"}
_TEXTS: Fragment = {"type": "array", "items": _TEXT}
_TIME: Fragment = {"type": "string", "format": "date-time"}
_TIMES: Fragment = {"created_at": _TIME, "updated_at": _TIME}
_LINKS: Fragment = {"self": _TEXT, "schema": _TEXT}


def metadef_schemas() -> dict[str, Fragment]:
    """Return every schema by the name used in references: first for responses, then for requests."""
    return {
        "MetadefNamespace": _object(
            {
                "namespace": _TEXT, "display_name": _TEXT, "description": _TEXT,
                "visibility": {"type": "string", "enum": ["public", "private"]}, "protected": _FLAG, "owner": _TEXT,
                **_TIMES, "resource_type_associations": _list_of("MetadefAssociation"),
                "properties": {"type": "object", "additionalProperties": ref("MetadefDefinition")},
                "objects": _list_of("MetadefNestedObject"), "tags": _list_of("MetadefTag"), **_LINKS,
            },
            "namespace", "visibility", "protected", "owner", "self", "schema",
        ),
        "MetadefNamespaces": _object(
            {"namespaces": _list_of("MetadefNamespace"), "next": _TEXT, "schema": _TEXT, "first": _TEXT},
            "namespaces", "schema", "first",
        ),
        "MetadefAssociation": _object({"name": _TEXT, "prefix": _TEXT, "properties_target": _TEXT, **_TIMES}, "name"),
        "MetadefAssociations": _wrapped("resource_type_associations", "MetadefAssociation"),
        "MetadefResourceTypes": _object(
            {"resource_types": {"type": "array", "items": _object({"name": _TEXT, **_TIMES}, "name", "created_at")}},
            "resource_types",
        ),
        "MetadefDefinition": _definition("type", "title"),
        "MetadefProperty": _definition("name", "type", "title"),
        "MetadefProperties": _object(
            {"properties": {"type": "object", "additionalProperties": ref("MetadefDefinition")}}, "properties"
        ),
        "MetadefNestedObject": _metadef_object("name"),
        "MetadefObject": _metadef_object("name", "created_at", "self", "schema"),
        "MetadefObjects": _object({"objects": _list_of("MetadefObject"), "schema": _TEXT}, "objects", "schema"),
        "MetadefTag": _object({"name": _TEXT, **_TIMES}, "name"),
        "MetadefTags": _wrapped("tags", "MetadefTag"),
        "MetadefNamespaceCreate": accepted.NAMESPACE_CREATION,
        "MetadefNamespaceUpdate": accepted.NAMESPACE_UPDATE,
        "MetadefObjectCreate": accepted.OBJECT_CREATION,
        "MetadefObjectUpdate": accepted.OBJECT_UPDATE,
        "MetadefPropertySet": accepted.PROPERTY,
        "MetadefAssociationCreate": accepted.ASSOCIATION,
        "MetadefTagSet": accepted.TAG,
        "MetadefTagsCreate": accepted.TAGS,
    }  # fmt: skip


def _definition(*required: str) -> Fragment:
    kind: Fragment = {"type": "string", "enum": list(TYPES)}
    items = _object({"type": kind, "enum": _TEXTS}, "type")
    return _object(
        {
            "name": _TEXT, "type": kind, "title": _TEXT, "description": _TEXT, "operators": _TEXTS,
            "default": {"type": ["string", "null"]}, "readonly": _FLAG, "minimum": _WHOLE, "maximum": _WHOLE,
            "enum": _TEXTS, "pattern": _TEXT, "minLength": _WHOLE, "maxLength": _WHOLE, "confidential": _FLAG,
            "items": items, "uniqueItems": _FLAG, "minItems": _WHOLE, "maxItems": _WHOLE, "additionalItems": _FLAG,
        },
        *required,
    )  # fmt: skip


def _metadef_object(*required: str) -> Fragment:
    definitions = {"type": "object", "additionalProperties": ref("MetadefDefinition")}
    fields: Fragment = {"name": _TEXT, "description": _TEXT, "required": _TEXTS, "properties": definitions}
    return _object({**fields, **_TIMES, **_LINKS}, *required)


def _wrapped(key: str, name: str) -> Fragment:
    return _object({key: _list_of(name)}, key)


def _list_of(name: str) -> Fragment:
    return {"type": "array", "items": ref(name)}


def _object(properties: Fragment, *required: str) -> Fragment:
    return {"type": "object", "properties": properties, "additionalProperties": False, "required": list(required)}
