"""The ten schema documents of metadata definitions (metadefs 10). Clients validate responses with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from glimpse.domain.metadef import DESCRIPTION_LENGTH, NAME_LENGTH, OWNER_LENGTH

Fragment = dict[str, Any]

#: Values of a property's ``type``; documents list ``null`` too, which no string matches.
TYPES = ("array", "boolean", "integer", "number", "object", "string")

TEXT: Fragment = {"type": "string"}
NAME: Fragment = {"type": "string", "maxLength": NAME_LENGTH}
_TYPE: Fragment = {"type": "string", "enum": [*TYPES, "null"]}
_DEFINITIONS = "#/definitions/"


def _ref(name: str) -> Fragment:
    return {"$ref": f"{_DEFINITIONS}{name}"}


def _read_only(description: str) -> Fragment:
    return {"type": "string", "readOnly": True, "description": description}


def _time(description: str) -> Fragment:
    return {**_read_only(description), "format": "date-time"}


def _definitions(string_array: Fragment) -> Fragment:
    return {
        "positiveInteger": {"type": "integer", "minimum": 0},
        "positiveIntegerDefault0": {"allOf": [_ref("positiveInteger"), {"default": 0}]},
        "stringArray": {"type": "array", "items": TEXT, "uniqueItems": True, **string_array},
    }


_PROPERTY: Fragment = {
    "name": NAME,
    "title": TEXT,
    "description": TEXT,
    "operators": {"type": "array", "items": TEXT},
    "type": _TYPE,
    "required": _ref("stringArray"),
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "maxLength": _ref("positiveInteger"),
    "minLength": _ref("positiveIntegerDefault0"),
    "pattern": {"type": "string", "format": "regex"},
    "enum": {"type": "array"},
    "readonly": {"type": "boolean"},
    "default": {},
    "items": {"type": "object", "properties": {"type": _TYPE, "enum": {"type": "array"}}},
    "maxItems": _ref("positiveInteger"),
    "minItems": _ref("positiveIntegerDefault0"),
    "uniqueItems": {"type": "boolean", "default": False},
    "additionalItems": {"type": "boolean"},
}
_OF_NAMESPACES: Fragment = {
    **_definitions({}),
    "property": {
        "type": "object",
        "additionalProperties": {"type": "object", "required": ["title", "type"], "properties": _PROPERTY},
    },
}


def _entity(name: str, properties: Fragment, required: list[str], definitions: Fragment | None = None) -> Fragment:
    made: Fragment = {"name": name, "properties": properties, "additionalProperties": False, "required": required}
    return made if definitions is None else {**made, "definitions": definitions}


NAMESPACE = _entity(
    "namespace",
    {
        "namespace": {**NAME, "description": "Unique name of the namespace."},
        "display_name": {**NAME, "description": "Display name of the namespace."},
        "description": {
            "type": "string", "maxLength": DESCRIPTION_LENGTH, "description": "Description of the namespace.",
        },
        "visibility": {
            "type": "string", "enum": ["public", "private"],
            "description": "Whether everybody sees the namespace, or only its owner.",
        },
        "protected": {"type": "boolean", "description": "Whether the namespace and its content are protected from "
            "deletion."},
        "owner": {"type": "string", "maxLength": OWNER_LENGTH, "description": "Project that the namespace belongs to."},
        "created_at": _time("Time of creation."),
        "updated_at": _time("Time of the last change."),
        "schema": {"type": "string", "readOnly": True},
        "self": {"type": "string", "readOnly": True},
        "resource_type_associations": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": TEXT, "prefix": TEXT, "properties_target": TEXT}},
        },
        "properties": _ref("property"),
        "objects": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": TEXT, "description": TEXT, "required": _ref("stringArray"), "properties": _ref("property"),
                },
            },
        },
        "tags": {"type": "array", "items": {"type": "object", "properties": {"name": TEXT}}},
    },
    ["namespace"],
    _OF_NAMESPACES,
)  # fmt: skip

ASSOCIATION = _entity(
    "resource_type_association",
    {
        "name": {**NAME, "description": "Name of the resource type."},
        "prefix": {**NAME, "description": "Prefix of property names on this resource type, including any separator."},
        "properties_target": {
            **NAME,
            "description": "Which properties of the resource are meant, if it has several kinds.",
        },
        "created_at": _time("Time of creation."),
        "updated_at": _time("Time of the last change."),
    },
    ["name"],
)

PROPERTY = _entity("property", _PROPERTY, ["type", "title", "name"], _definitions({"minItems": 1}))

OBJECT = _entity(
    "object",
    {
        "name": NAME,
        "description": TEXT,
        "required": _ref("stringArray"),
        "properties": _ref("property"),
        "schema": {"type": "string", "readOnly": True},
        "self": {"type": "string", "readOnly": True},
        "created_at": _time("Time of creation."),
        "updated_at": _time("Time of the last change."),
    },
    ["name"],
    _OF_NAMESPACES,
)

TAG = _entity(
    "tag",
    {
        "name": NAME,
        "created_at": _time("Time of creation."),
        "updated_at": _time("Time of the last change."),
    },
    ["name"],
)


def _collection(name: str, entity: Fragment, *, by_name: bool = False) -> Fragment:
    item = {key: value for key, value in entity.items() if key != "definitions"}
    if by_name:
        item["required"] = [key for key in item["required"] if key != "name"]
    kind: Fragment = {"type": "object", "additionalProperties": item} if by_name else {"type": "array", "items": item}
    made: Fragment = {
        "name": name,
        "properties": {name: kind, "first": TEXT, "next": TEXT, "schema": TEXT},
        "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }
    return {**made, "definitions": entity["definitions"]} if "definitions" in entity else made


#: Documents by the last part of the path.
DOCUMENTS: Mapping[str, Fragment] = {
    "namespace": NAMESPACE,
    "namespaces": _collection("namespaces", NAMESPACE),
    "resource_type": ASSOCIATION,
    "resource_types": _collection("resource_type_associations", ASSOCIATION),
    "property": PROPERTY,
    "properties": _collection("properties", PROPERTY, by_name=True),
    "object": OBJECT,
    "objects": _collection("objects", OBJECT),
    "tag": TAG,
    "tags": _collection("tags", TAG),
}

#: The same documents, encoded.
BODIES: Mapping[str, bytes] = {name: msgspec.json.encode(document) for name, document in DOCUMENTS.items()}


def inlined(fragment: Any, definitions: Fragment) -> Any:
    """Return a schema with each reference replaced by its definition."""
    if isinstance(fragment, list):
        return [inlined(item, definitions) for item in fragment]  # pyright: ignore[reportUnknownVariableType]  # JSON
    if not isinstance(fragment, dict):
        return fragment
    reference = fragment.get("$ref")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  # JSON
    if isinstance(reference, str):
        return inlined(definitions[reference.removeprefix(_DEFINITIONS)], definitions)
    return {key: inlined(value, definitions) for key, value in fragment.items()}  # pyright: ignore[reportUnknownVariableType]
