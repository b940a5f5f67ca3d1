"""Schemas of request bodies: the published ones, but stricter where Glance fails (metadefs 3.4 and 7)."""

from __future__ import annotations

from glimpse.api.v2.metadefs.schemas import NAME, NAMESPACE, TEXT, TYPES, Fragment, inlined
from glimpse.domain.metadef import NAME_LENGTH

_TEXTS: Fragment = {"type": "array", "items": TEXT}
_NAMES: Fragment = {**_TEXTS, "uniqueItems": True}
_COUNT: Fragment = {"type": "integer", "minimum": 0}
_FLAG: Fragment = {"type": "boolean"}
_TYPE: Fragment = {"type": "string", "enum": list(TYPES)}
_TIMES: Fragment = {"created_at": {}, "updated_at": {}}


def _object(properties: Fragment, *required: str) -> Fragment:
    return {"type": "object", "properties": properties, "additionalProperties": False, "required": list(required)}


def _map_of(definition: Fragment, **more: object) -> Fragment:
    return {"type": "object", "additionalProperties": definition, **more}


_DEFINITION: Fragment = {
    "name": NAME,
    "type": _TYPE,
    "title": TEXT,
    "description": TEXT,
    "operators": _TEXTS,
    "default": {},
    "readonly": _FLAG,
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "enum": _TEXTS,
    "pattern": TEXT,
    "minLength": _COUNT,
    "maxLength": _COUNT,
    "items": _object({"type": _TYPE, "enum": _TEXTS}, "type"),
    "uniqueItems": _FLAG,
    "minItems": _COUNT,
    "maxItems": _COUNT,
    "additionalItems": _FLAG,
}
_STRICT = _object(_DEFINITION, "title", "type")
#: Glance accepts and keeps ``confidential`` where it validates less strictly.
_LOOSE = _object({**_DEFINITION, "confidential": _FLAG}, "title", "type")

PROPERTY = _object(_DEFINITION, "name", "title", "type")

_OBJECT: Fragment = {"name": NAME, "description": TEXT, "required": _NAMES}
OBJECT_CREATION = _object({**_OBJECT, "properties": _map_of(_STRICT)}, "name")
OBJECT_UPDATE = _object({**_OBJECT, "properties": _map_of(_LOOSE)}, "name")

_ASSOCIATION: Fragment = {"name": NAME, "prefix": NAME, "properties_target": NAME}
ASSOCIATION = _object(_ASSOCIATION, "name")

TAG = _object({"name": NAME}, "name")
TAGS = _object({"tags": {"type": "array", "items": TAG}}, "tags")

_SCALARS: Fragment = {
    key: value
    for key, value in NAMESPACE["properties"].items()
    if key in {"namespace", "display_name", "description", "visibility", "protected", "owner"}
}

#: Content of a namespace: read-only keys are accepted, so that the response to a GET can be sent back.
NAMESPACE_CREATION = _object(
    {
        **_SCALARS,
        "resource_type_associations": {"type": "array", "items": _object({**_ASSOCIATION, **_TIMES}, "name")},
        "properties": _map_of(_LOOSE, propertyNames={"maxLength": NAME_LENGTH}),
        "objects": {
            "type": "array",
            "items": _object({**_OBJECT, "properties": _map_of(_LOOSE), "self": {}, "schema": {}, **_TIMES}, "name"),
        },
        "tags": {"type": "array", "items": _object({"name": NAME, **_TIMES}, "name")},
    },
    "namespace",
)

#: The content of the namespace is validated with the published schema, and ignored.
NAMESPACE_UPDATE = _object(
    {
        **_SCALARS,
        **{
            key: inlined(NAMESPACE["properties"][key], NAMESPACE["definitions"])
            for key in ("resource_type_associations", "properties", "objects", "tags")
        },
    },
    "namespace",
)
