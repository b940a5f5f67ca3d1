"""All schemas of images, members and tasks, built once at start and kept as response bodies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from jsonschema_rs import Draft202012Validator, ReferencingError, ValidationError, ValidationErrorKind

from glimpse.api.v2.schemas.custom import CustomSchemaError, read_custom
from glimpse.api.v2.schemas.documents import (
    base_properties,
    image_schema,
    images_schema,
    member_schema,
    members_schema,
    task_schema,
    tasks_schema,
)
from glimpse.domain.properties import label
from glimpse.errors import Invalid

# --------------------------------------- Validation against the image schema; the only module that uses jsonschema-rs

_MASK = "The value"


class ImageSchemaChecker:
    """Compiled once at start; implements :class:`glimpse.domain.document.ImageDocumentChecker`."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """``schema`` is the document ``image``.

        :raises CustomSchemaError: a definition in schema-image.json is not a JSON schema.
        """
        self._required: frozenset[str] = frozenset(schema.get("required", ()))
        rules = {key: schema[key] for key in ("properties", "additionalProperties")}
        self._value = _compile(rules)
        self._document = _compile({**rules, "required": sorted(self._required)}) if self._required else self._value

    @property
    def required(self) -> frozenset[str]:
        """Names that are required to create an image."""
        return self._required

    def check_document(self, document: Mapping[str, object]) -> None:
        """:raises Invalid: the document breaks the schema, or lacks a required name."""
        _validate(self._document, document)

    def check_value(self, name: str, value: object) -> None:
        """:raises Invalid: the value breaks the schema of ``name``."""
        _validate(self._value, {name: value})


def _compile(rules: dict[str, Any]) -> Draft202012Validator:
    try:
        return Draft202012Validator({"type": "object", **rules}, validate_formats=False, mask=_MASK, offline=True)
    except (ValidationError, ReferencingError) as error:
        raise CustomSchemaError(f"schema-image.json: not a JSON schema: {error}") from error


def _validate(validator: Draft202012Validator, instance: Mapping[str, object]) -> None:
    try:
        validator.validate(instance)
    except ValidationError as error:
        raise Invalid(_in_words(error)) from None
    except ValueError as error:
        # Nesting beyond the validator's limit, or text that cannot be encoded.
        raise Invalid(f"The request cannot be validated: {error}.") from None


def _in_words(error: ValidationError) -> str:
    """Describe a violation in one sentence with the property's name, but not its value, which can be long."""
    path = error.instance_path
    if not path:
        where = "The image"
    else:
        where = f"The property {label(str(path[0]))}" + "".join(f", item {label(str(part))}," for part in path[1:])
    match error.kind:
        case ValidationErrorKind.Type(types):
            return f"{where} must be of type {' or '.join(types)}."
        case ValidationErrorKind.Enum(options):
            return f"{where} must be one of {', '.join(map(_shown, options))}."
        case ValidationErrorKind.MaxLength(limit):
            return f"{where} must not be longer than {limit} characters."
        case ValidationErrorKind.MinLength(limit):
            return f"{where} must not be shorter than {limit} characters."
        case ValidationErrorKind.Pattern(pattern):
            return f"{where} must match the pattern {pattern}."
        case ValidationErrorKind.Required(name):
            return f"{where} lacks the required property {label(name)}."
        case _:
            return f"{where} does not match the schema: {error.message}."


def _shown(option: object) -> str:
    return "null" if option is None else str(option)


class SchemaCatalog(msgspec.Struct, frozen=True, kw_only=True):
    """``bodies`` are the encoded documents by name (``image``, ``images``, ``member`` …); ``checker`` validates images.

    ``custom_names`` and ``typed_names`` are for :class:`glimpse.api.v2.views.ImageView`.
    """

    bodies: Mapping[str, bytes]
    checker: ImageSchemaChecker
    custom_names: frozenset[str]
    typed_names: frozenset[str]


def build_schemas(
    *, container_formats: Iterable[str], disk_formats: Iterable[str], custom: Mapping[str, object] | None
) -> SchemaCatalog:
    """Build every schema; ``custom`` is the decoded schema-image.json (images-api 2.3).

    :raises CustomSchemaError: schema-image.json cannot be used.
    """
    base = base_properties(container_formats, disk_formats)
    own = read_custom(custom, base)
    image = image_schema({**base, **own.properties}, own.required)
    checker = ImageSchemaChecker(image)
    documents = {
        "image": image,
        "images": images_schema(image),
        "member": member_schema(),
        "members": members_schema(),
        "task": task_schema(),
        "tasks": tasks_schema(),
    }
    return SchemaCatalog(
        bodies={name: msgspec.json.encode(document) for name, document in documents.items()},
        checker=checker,
        custom_names=own.names,
        typed_names=own.typed_names,
    )
