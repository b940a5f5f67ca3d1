"""Definitions of single properties: what is stored, and what is shown of old rows (metadefs 3.4 and 3.6).

Stored definitions have forms that Glance can read back: of the keys below, ``default`` text in ASCII or null,
numbers whole (metadefs 15). Old rows may hold more, so reading never refuses anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from glimpse.domain.limits import check_text
from glimpse.errors import Invalid

Definition = dict[str, Any]

#: Keys of a definition in the order in which they are shown.
KEYS = (
    "name", "type", "title", "description", "operators", "default", "readonly", "minimum", "maximum", "enum", "pattern",
    "minLength", "maxLength", "confidential", "items", "uniqueItems", "minItems", "maxItems", "additionalItems",
)  # fmt: skip

_WHOLE = frozenset({"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"})
_TEXTS = ("name", "title", "description", "pattern")


def normalised(definition: Mapping[str, Any]) -> Definition:
    """A definition that keeps to the schema, in the form in which it is stored.

    :raises Invalid: a default that Glance could not show again, or characters that no row can hold.
    """
    for key in _TEXTS:
        check_text(f"{key} of a property", definition.get(key, ""))
    made = {key: _stored(key, definition[key]) for key in KEYS if key in definition}
    default = made.get("default")
    if default is not None and not default.isascii():
        # Glance crashes on such a row for good (metadefs 3.6)
        raise Invalid("The default of a property must be ASCII.")
    return made


def shown(definition: object) -> Definition:
    """A definition from a row, whoever wrote it, with values of the types that clients know."""
    if not isinstance(definition, dict):
        return {}
    found = cast("Definition", definition)
    return {key: _SHOWN.get(key, _as_it_is)(found[key]) for key in KEYS if _is_there(key, found)}


def definitions_shown(definitions: Mapping[str, Any] | None) -> dict[str, Definition]:
    """The definitions of an object; files loaded by Glance may have left none (metadefs 12.3)."""
    return {name: shown(definition) for name, definition in (definitions or {}).items()}


def _stored(key: str, value: Any) -> Any:
    if key == "default":
        return _as_text(value)
    if key in _WHOLE:
        return int(value)
    return value


def _is_there(key: str, definition: Definition) -> bool:
    return key in definition and (key == "default" or definition[key] is not None)


def _as_text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, bool, int, float)) else None


def _as_it_is(value: Any) -> Any:
    return value


def _as_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) else value


def _as_texts(value: Any) -> Any:
    return [str(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


_SHOWN: dict[str, Callable[[Any], Any]] = {
    "default": _as_text,
    "enum": _as_texts,
    "operators": _as_texts,
    **dict.fromkeys(_WHOLE, _as_whole),
}
