"""Validate request bodies of metadata definitions and convert them to records (metadefs 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from jsonschema_rs import Draft202012Validator, ValidationError, ValidationErrorKind

from glimpse.api.json_body import json_object
from glimpse.api.request import Request
from glimpse.api.v2.metadefs import accepted
from glimpse.domain.metadef import (
    MetadefObject,
    MetadefProperty,
    MetadefTag,
    Namespace,
    NamespaceContent,
    ResourceTypeAssociation,
)
from glimpse.domain.metadef_definitions import normalised
from glimpse.errors import Forbidden, Invalid

# Validation of request bodies against JSON schemas, with messages that name the place and the problem

_MASK = "The value"


class BodyChecker:
    """Validator of one kind of request body; compiled at first use."""

    def __init__(self, what: str, schema: dict[str, Any], read_only: tuple[str, ...]) -> None:
        """``what`` names the resource; ``read_only`` are keys that only the service sets."""
        self._what = what
        self._schema = schema
        self._read_only = read_only

    def check(self, document: Mapping[str, object]) -> None:
        """Validate a body. Formats are not checked, and ``1.0`` is an integer (metadefs 10).

        :raises Forbidden: it has a read-only key.
        :raises Invalid: it violates the schema.
        """
        for key in self._read_only:
            if key in document:
                raise Forbidden(f"The attribute '{key}' is read-only.")
        try:
            self._validator.validate(document)
        except ValidationError as error:
            raise Invalid(self._in_words(error)) from None
        except ValueError as error:
            # Nesting beyond the validator's limit, or text that cannot be encoded.
            raise Invalid(f"The request cannot be validated: {error}.") from None

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return Draft202012Validator(self._schema, validate_formats=False, mask=_MASK, offline=True)

    def _in_words(self, error: ValidationError) -> str:
        path = "/".join(str(part)[:80] for part in error.instance_path)
        where = f"'{path}' of the {self._what}" if path else f"The {self._what}"
        match error.kind:
            case ValidationErrorKind.Type(types):
                return f"{where} must be of type {' or '.join(types)}."
            case ValidationErrorKind.Enum(options):
                return f"{where} must be one of {', '.join(map(str, options))}."
            case ValidationErrorKind.MaxLength(limit):
                return f"{where} must not be longer than {limit} characters."
            case ValidationErrorKind.Required(name):
                return f"{where} lacks the key '{name}'."
            case _:
                return f"{where} does not match the schema: {error.message}."


Document = Mapping[str, Any]
T = TypeVar("T")

_TIMES = ("created_at", "updated_at")
_LINKED = ("self", "schema", *_TIMES)

NAMESPACE_CREATION = BodyChecker("namespace", accepted.NAMESPACE_CREATION, _LINKED)
NAMESPACE_UPDATE = BodyChecker("namespace", accepted.NAMESPACE_UPDATE, _LINKED)
OBJECT_CREATION = BodyChecker("object", accepted.OBJECT_CREATION, _LINKED)
OBJECT_UPDATE = BodyChecker("object", accepted.OBJECT_UPDATE, _LINKED)
PROPERTY = BodyChecker("property", accepted.PROPERTY, _TIMES)
ASSOCIATION = BodyChecker("association", accepted.ASSOCIATION, _TIMES)
TAG = BodyChecker("tag", accepted.TAG, _TIMES)
TAGS = BodyChecker("list of tags", accepted.TAGS, _TIMES)


async def document_of(request: Request, checker: BodyChecker) -> Document:
    """Decode and validate a request body.

    :raises Invalid: it is not a JSON object, or violates the schema.
    :raises Forbidden: it has a read-only key.
    """
    document, _ = await read_body(request, checker, lambda document: document)
    return document


async def read_body(request: Request, checker: BodyChecker, make: Callable[[Document], T]) -> tuple[Document, T]:
    """Read a request body and convert it with ``make``; raises as :func:`document_of` and ``make``."""
    limit = request.settings.limits.max_json_body

    def read(body: bytes) -> tuple[Document, T]:
        document = json_object(body, max_bytes=limit)
        checker.check(document)
        return document, make(document)

    return await request.read(read)


def namespace_from(document: Document, project_id: str | None) -> Namespace:
    """Build the namespace from a body; missing keys have defaults."""
    return Namespace(
        namespace=document["namespace"],
        display_name=document.get("display_name"),
        description=document.get("description"),
        visibility=document.get("visibility", "private"),
        protected=document.get("protected", False),
        owner=document.get("owner") or project_id or "",
    )


def content_from(document: Document, project_id: str | None) -> NamespaceContent:
    """Build the namespace and its content from a body.

    :raises Invalid: a definition cannot be stored.
    """
    return NamespaceContent(
        namespace=namespace_from(document, project_id),
        associations=tuple(association_from(one) for one in document.get("resource_type_associations", ())),
        properties=tuple(
            MetadefProperty(name=name, schema=normalised(definition))
            for name, definition in document.get("properties", {}).items()
        ),
        objects=tuple(object_from(one) for one in document.get("objects", ())),
        tags=tuple(MetadefTag(name=one["name"]) for one in document.get("tags", ())),
    )


def object_from(document: Document) -> MetadefObject:
    """Build the object from a body.

    :raises Invalid: a definition cannot be stored.
    """
    definitions: Mapping[str, Document] = document.get("properties", {})
    return MetadefObject(
        name=document["name"],
        description=document.get("description"),
        required=tuple(document.get("required", ())),
        properties={name: normalised(definition) for name, definition in definitions.items()},
    )


def property_from(document: Document) -> MetadefProperty:
    """Build the property from a body. Its definition keeps the name, as in Glance (metadefs 14, quirk 12).

    :raises Invalid: it cannot be stored.
    """
    return MetadefProperty(name=document["name"], schema=normalised(document))


def association_from(document: Document) -> ResourceTypeAssociation:
    """Build the association from a body."""
    return ResourceTypeAssociation(
        name=document["name"], prefix=document.get("prefix"), properties_target=document.get("properties_target")
    )
