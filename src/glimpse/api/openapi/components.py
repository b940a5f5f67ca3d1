"""Schemas of the operations, built from the schemas that the service publishes and validates with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from glimpse.api.openapi.metadef_components import metadef_schemas
from glimpse.api.openapi.operation import Fragment, ref
from glimpse.api.v2.schemas.catalog import SchemaCatalog
from glimpse.domain.image import MEMBER_LENGTH
from glimpse.domain.imports import DEFAULT_INTERFACE
from glimpse.domain.limits import MINIMUM_CEILING
from glimpse.domain.location_data import ALGORITHMS, URL_BYTES
from glimpse.domain.status import MemberStatus
from glimpse.domain.task import TASK_TYPES

#: Optional fields of an image.
_SOMETIMES = frozenset({"direct_url", "locations", "stores"})

#: Names that are not allowed in a creation, besides those marked readOnly.
_NOT_AT_CREATION = frozenset({"locations"})

#: Fields that every task has in a list.
_OF_STUBS = ("id", "type", "status", "owner", "created_at", "updated_at", "self", "schema")

_TEXT: Fragment = {"type": "string"}


def component_schemas(schemas: SchemaCatalog) -> dict[str, Fragment]:
    """Return every schema by the name used in references."""
    shown = {name: msgspec.json.decode(body, type=dict[str, Any]) for name, body in schemas.bodies.items()}
    image: Fragment = shown["image"]
    own = schemas.custom_names
    made: dict[str, Fragment] = {
        "Image": _answer(image, [name for name in image["properties"] if name not in _SOMETIMES | own]),
        "ImageCreate": _creation(image),
        "ImagePatch": _patch(),
        "ImagePatch20": _patch_20(),
        "MemberAdd": _object({"member": {**_TEXT, "minLength": 1, "maxLength": MEMBER_LENGTH}}),
        "MemberStatus": _object({"status": {**_TEXT, "enum": [str(status) for status in MemberStatus]}}),
        "Schema": _object({"name": _TEXT, "properties": {"type": "object"}}),
        "Versions": _object({"versions": {"type": "array", "items": _version()}}),
        "Error": _object({"message": _TEXT, "code": _TEXT, "title": _TEXT}),
        "Member": _answer(shown["member"]),
        "Store": _store({}),
        "StoreDetail": _store({"type": _TEXT, "weight": {"type": "integer"}, "properties": {"type": "object"}}),
        "Usage": _object({"usage": {"type": "object", "additionalProperties": _used()}}),
        "LocationAdd": _location_addition(),
        "ImageImport": _image_import(),
        "MetadefReport": _object({"properties": {"type": "array", "items": {"type": "object"}}}),
        "Task": _answer(shown["task"], [*_OF_STUBS, "input", "result", "message"]),
        "TaskCreate": _task_creation(),
        "ImageTasks": _object({"tasks": {"type": "array", "items": {"type": "object"}}}),
        **metadef_schemas(),
        "Locations": {"type": "array", "items": _object({"url": _TEXT, "metadata": {"type": "object"}})},
    }
    made["Images"] = _answer(shown["images"], ["images", "first", "schema"], images=_array_of("Image"))
    stub = _answer(shown["tasks"]["properties"]["tasks"]["items"], list(_OF_STUBS))
    links = {"first": _TEXT, "next": _TEXT}
    made["Tasks"] = _answer(
        shown["tasks"], ["tasks", "first", "schema"], tasks={"type": "array", "items": stub}, **links
    )
    made["Members"] = _answer(shown["members"], members=_array_of("Member"))
    return made


def _answer(shown: Fragment, required: list[str] | None = None, **replaced: Fragment) -> Fragment:
    """Return a response schema with its required fields: all, unless ``required`` lists them."""
    properties = {**shown["properties"], **replaced}
    made: Fragment = {"type": "object", "properties": properties, "required": required or list(properties)}
    if "additionalProperties" in shown:
        made["additionalProperties"] = shown["additionalProperties"]
    return made


def _creation(image: Fragment) -> Fragment:
    properties: Mapping[str, Fragment] = image["properties"]
    settable = {
        name: fragment
        for name, fragment in properties.items()
        if not fragment.get("readOnly") and name not in _NOT_AT_CREATION
    }
    for name in ("min_disk", "min_ram"):
        settable[name] = {**settable[name], "minimum": 0, "maximum": MINIMUM_CEILING}
    made: Fragment = {
        "type": "object",
        "properties": settable,
        "additionalProperties": image["additionalProperties"],
    }
    return {**made, "required": image["required"]} if "required" in image else made


def _location_addition() -> Fragment:
    store = {"store": {**_TEXT, "description": "Ignored; Cinder sends it."}}
    digest = {"os_hash_algo": {**_TEXT, "enum": list(ALGORITHMS)}, "os_hash_value": {**_TEXT, "maxLength": 128}}
    forms = ({"properties": store}, {"properties": digest | store, "required": list(digest)})
    validation = {"oneOf": [{"type": "object", **form, "additionalProperties": False} for form in forms]}
    url = {**_TEXT, "minLength": 1, "maxLength": URL_BYTES}
    return {"type": "object", "properties": {"url": url, "validation_data": validation}, "required": ["url"]}


def _image_import() -> Fragment:
    flag: Fragment = {"type": "boolean"}
    sums = "With web-download: where a file such as SHA256SUMS has the digest of the data."
    method = {
        "name": _TEXT,
        "uri": {**_TEXT, "description": "The source of web-download."},
        "glance_region": {**_TEXT, "description": "With glance-download: a region of the caller's service catalog."},
        "glance_image_id": {**_TEXT, "description": "The image there, a UUID."},
        "glance_service_interface": {**_TEXT, "default": DEFAULT_INTERFACE},
        "digest": {**_TEXT, "description": "What the data of the source must have: `sha256:…`, in hex."},
        "checksum_uri": {**_TEXT, "description": sums},
    }
    properties = {
        "method": {"type": "object", "properties": method, "required": ["name"]},
        "stores": {"type": "array", "items": _TEXT},
        "want_digests": {
            "type": "array",
            "items": {**_TEXT, "description": "Algorithms whose digests are kept: sha256, sha384, sha512."},
        },
        "all_stores": {**flag, "default": False},
        "all_stores_must_succeed": {**flag, "default": True},
    }
    return {"type": "object", "properties": properties, "required": ["method"]}


def _task_creation() -> Fragment:
    made = _object({"type": {**_TEXT, "enum": list(TASK_TYPES)}, "input": {"type": "object"}})
    return {**made, "additionalProperties": False}


def _patch() -> Fragment:
    pointer = {**_TEXT, "pattern": "^/", "description": "`/` and the name of an attribute or a property."}
    operation = {
        "type": "object",
        "properties": {"op": {**_TEXT, "enum": ["add", "replace", "remove"]}, "path": pointer, "value": {}},
        "required": ["op", "path"],
        "if": {"properties": {"op": {"const": "remove"}}},
        "else": {"required": ["value"]},
    }
    return {"type": "array", "items": operation}


def _patch_20() -> Fragment:
    pointer = {**_TEXT, "pattern": "^/"}
    changes = [_object({name: pointer, "value": {}}) for name in ("add", "replace")]
    return {"type": "array", "items": {"oneOf": [*changes, _object({"remove": pointer})]}}


def _store(more: dict[str, Fragment]) -> Fragment:
    true = {**_TEXT, "enum": ["true"]}
    always = _object({"id": _TEXT, **more})
    sometimes = {"description": _TEXT, "default": true, "read-only": true}
    return {**always, "properties": {**always["properties"], **sometimes}}


def _used() -> Fragment:
    return _object({"usage": {"type": "integer"}, "limit": {"type": "integer"}})


def _version() -> Fragment:
    link = _object({"rel": _TEXT, "href": _TEXT})
    status = {**_TEXT, "enum": ["CURRENT", "SUPPORTED"]}
    return _object({"id": _TEXT, "status": status, "links": {"type": "array", "items": link}})


def _object(properties: dict[str, Fragment]) -> Fragment:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _array_of(name: str) -> Fragment:
    return {"type": "array", "items": ref(name)}
