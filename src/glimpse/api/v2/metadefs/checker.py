"""Validation of request bodies against JSON schemas, with messages that name the place and the problem."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError, ValidationErrorKind

from glimpse.errors import Forbidden, Invalid

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
