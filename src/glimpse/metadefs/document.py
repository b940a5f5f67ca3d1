"""Conversion between the JSON document of a definition file and records (metadefs 12.3 and 15).

Glance stores invalid definitions and then fails to show them. Here the whole file is validated before anything is
stored, by the rules for Glance's rows. Definitions are stored as written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from glimpse.domain.metadef import (
    NAME_LENGTH,
    OWNER_LENGTH,
    MetadefObject,
    MetadefProperty,
    MetadefTag,
    Namespace,
    NamespaceContent,
    ResourceTypeAssociation,
)
from glimpse.errors import Invalid

# ----------------------------------------------------------------------------------------- Errors of definition files


class DefinitionFileError(Invalid):
    """A definition file cannot be read or written, or is invalid; the message names the file and the place."""


#: Default owner of namespaces (metadefs 12.3).
DEFAULT_OWNER = "admin"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LENGTH)]
Text = Annotated[str, msgspec.Meta(max_length=NAME_LENGTH)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Kind = Literal["array", "boolean", "integer", "number", "object", "string"]

_Form = TypeVar("_Form", bound=msgspec.Struct)
_Named = TypeVar("_Named", "_Association", "_Object", "_Tag")


class _Items(msgspec.Struct, forbid_unknown_fields=True):
    type: Kind
    enum: list[str] = []


class _Definition(msgspec.Struct, forbid_unknown_fields=True):
    """The keys that Glance can show, with their types; others are refused."""

    type: Kind
    title: str
    name: str = ""
    description: str = ""
    operators: list[str] = []
    default: str | int | float | bool | None = None
    readonly: bool = False
    minimum: int = 0
    maximum: int = 0
    enum: list[str] = []
    pattern: str = ""
    minLength: Count = 0  # noqa: N815  # the key of the format
    maxLength: Count = 0  # noqa: N815
    confidential: bool = False
    items: _Items | None = None
    uniqueItems: bool = False  # noqa: N815
    minItems: Count = 0  # noqa: N815
    maxItems: Count = 0  # noqa: N815
    additionalItems: bool = False  # noqa: N815


class _Association(msgspec.Struct):
    name: Name
    prefix: Text | None = None
    properties_target: Text | None = None


class _Object(msgspec.Struct):
    name: Name
    description: str | None = None
    required: list[str] | None = None
    properties: dict[str, dict[str, Any]] | None = None


class _Tag(msgspec.Struct):
    name: Name


class _Document(msgspec.Struct):
    """The known keys; others are ignored, so that API responses can be loaded too."""

    namespace: Name
    display_name: Text | None = None
    description: str | None = None
    visibility: Literal["public", "private"] | None = None
    protected: bool | None = None
    owner: Annotated[str, msgspec.Meta(min_length=1, max_length=OWNER_LENGTH)] | None = None
    resource_type_associations: list[dict[str, Any]] | None = None
    properties: dict[Name, dict[str, Any]] | None = None
    objects: list[dict[str, Any]] | None = None
    tags: list[dict[str, Any]] | None = None


def content_of(document: object) -> NamespaceContent:
    """Build the namespace from a document.

    :raises DefinitionFileError: the document is invalid; the message says where.
    """
    form = _formed(document, _Document, "")
    objects = _list_of(form.objects, _Object, "objects")
    return NamespaceContent(
        namespace=Namespace(
            namespace=form.namespace,
            display_name=form.display_name,
            description=form.description,
            visibility=form.visibility,
            protected=bool(form.protected),
            owner=form.owner or DEFAULT_OWNER,
        ),
        associations=tuple(
            ResourceTypeAssociation(name=one.name, prefix=one.prefix, properties_target=one.properties_target)
            for one in _list_of(form.resource_type_associations, _Association, "resource_type_associations")
        ),
        properties=tuple(
            MetadefProperty(name=name, schema=schema)
            for name, schema in _checked(form.properties or {}, "properties").items()
        ),
        objects=tuple(
            MetadefObject(
                name=one.name,
                description=one.description,
                required=tuple(one.required or ()),
                properties=_checked(one.properties or {}, f"objects, {one.name}, properties"),
            )
            for one in objects
        ),
        tags=tuple(MetadefTag(name=one.name) for one in _list_of(form.tags, _Tag, "tags")),
    )


def document_of(content: NamespaceContent) -> dict[str, Any]:
    """Build the document from which :func:`content_of` restores this namespace; without times and nulls.

    Glance's export omits ``owner`` and ``required``. Here they are included unless they have the default, because
    otherwise the namespace would be loaded with another owner. Glance's loader accepts both.
    """
    namespace = content.namespace
    head = {
        "namespace": namespace.namespace,
        "display_name": namespace.display_name,
        "description": namespace.description,
        "visibility": namespace.visibility,
        "protected": namespace.protected,
        "owner": None if namespace.owner == DEFAULT_OWNER else namespace.owner,
        "resource_type_associations": [
            _without_nulls({"name": one.name, "prefix": one.prefix, "properties_target": one.properties_target})
            for one in content.associations
        ],
    }
    body = {
        "properties": {one.name: one.schema for one in content.properties},
        "objects": [_object_document(one) for one in content.objects],
        "tags": [{"name": one.name} for one in content.tags],
    }
    return {**_without_nulls(head), **{key: value for key, value in body.items() if value}}


def _object_document(one: MetadefObject) -> dict[str, Any]:
    return _without_nulls(
        {
            "name": one.name,
            "description": one.description,
            "required": list(one.required) or None,
            "properties": one.properties or {},
        }
    )


def _without_nulls(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None}


def _list_of(documents: Iterable[Any] | None, form: type[_Named], place: str) -> list[_Named]:
    found: dict[str, _Named] = {}
    for number, document in enumerate(documents or (), start=1):
        one = _formed(document, form, f"{place}, number {number}")
        if one.name in found:
            raise DefinitionFileError(f"{place}: {one.name} is there twice")
        found[one.name] = one
    return list(found.values())


def _checked(definitions: Mapping[str, dict[str, Any]], place: str) -> dict[str, dict[str, Any]]:
    for name, definition in definitions.items():
        form = _formed(definition, _Definition, f"{place}, {name}")
        if isinstance(form.default, str) and not form.default.isascii():
            # Glance cannot show such a row (metadefs 15)
            raise DefinitionFileError(f"{place}, {name}: the default has non-ASCII characters")
    return dict(definitions)


def _formed(document: object, form: type[_Form], place: str) -> _Form:
    try:
        return msgspec.convert(document, form)
    except msgspec.ValidationError as error:
        raise DefinitionFileError(f"{place}: {error}" if place else str(error)) from error
