"""The operator's schema-image.json (images-api 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from glimpse.api.v2.schemas.documents import Fragment


class CustomSchemaError(ValueError):
    """schema-image.json is invalid; the service must not start."""


class CustomProperties(msgspec.Struct, frozen=True):
    """The properties of the file in order, without those that repeat a base property, and the required names."""

    properties: dict[str, Fragment] = {}
    required: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Names of the custom properties."""
        return frozenset(self.properties)

    @property
    def typed_names(self) -> frozenset[str]:
        """Names of properties that are never strings, so their stored text is parsed as JSON."""
        return frozenset(name for name, fragment in self.properties.items() if not _may_be_text(fragment))


def read_custom(document: Mapping[str, object] | None, base: Mapping[str, Fragment]) -> CustomProperties:
    """Read the flat or the extended form; ``base`` are the properties that cannot be redefined.

    :raises CustomSchemaError: the file has neither form, or defines a base property differently.
    """
    if document is None:
        return CustomProperties()
    extended = "properties" in document
    fragments = document["properties"] if extended else document
    if not isinstance(fragments, Mapping):
        raise CustomSchemaError("schema-image.json: 'properties' must be an object.")
    properties: dict[str, Fragment] = {}
    for name, fragment in cast("Mapping[str, object]", fragments).items():
        if not isinstance(fragment, Mapping):
            raise CustomSchemaError(f"schema-image.json: the definition of '{name}' must be an object.")
        definition = dict(cast("Mapping[str, object]", fragment))
        if name not in base:
            properties[name] = {**definition, "is_base": False}
        elif _bare(definition) != _bare(base[name]):
            raise CustomSchemaError(f"schema-image.json: '{name}' is a base property and cannot be redefined.")
    return CustomProperties(properties, _required(document) if extended else ())


def _required(document: Mapping[str, object]) -> tuple[str, ...]:
    try:
        return msgspec.convert(document.get("required", ()), tuple[str, ...])
    except msgspec.ValidationError:
        raise CustomSchemaError("schema-image.json: 'required' must be a list of names.") from None


def _bare(definition: Mapping[str, object]) -> dict[str, object]:
    """Return a definition without the keys that have no effect on values."""
    return {key: value for key, value in definition.items() if key not in {"description", "is_base"}}


def _may_be_text(fragment: Fragment) -> bool:
    if "type" in fragment:
        types = fragment["type"]
        return types == "string" or (isinstance(types, list) and "string" in types)
    options = fragment.get("enum")
    return not isinstance(options, list) or any(isinstance(option, str) for option in cast("list[object]", options))
