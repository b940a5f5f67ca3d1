"""Definitions of single properties: their stored form, and how old rows are shown (metadefs 3.4 and 3.6).

Definitions are stored in a form that Glance can read: only the keys below, ``default`` as ASCII text or null, whole
numbers (metadefs 15). Old rows may contain other values, so reading never refuses anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from glimpse.domain.limits import check_text
from glimpse.errors import Invalid

Definition = dict[str, Any]

#: Keys of a definition in display order.
KEYS = (
    "name", "type", "title", "description", "operators", "default", "readonly", "minimum", "maximum", "enum", "pattern",
    "minLength", "maxLength", "confidential", "items", "uniqueItems", "minItems", "maxItems", "additionalItems",
)  # fmt: skip

_WHOLE = frozenset({"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"})
_TEXTS = ("name", "title", "description", "pattern")


def normalised(definition: Mapping[str, Any]) -> Definition:
    """Convert a validated definition to its stored form.

    :raises Invalid: Glance could not show the default, or characters cannot be stored.
    """
    for key in _TEXTS:
        check_text(f"{key} of a property", definition.get(key, ""))
    made = {key: _stored(key, definition[key]) for key in KEYS if key in definition}
    default = made.get("default")
    if default is not None and not default.isascii():
        # Glance fails on such a row every time (metadefs 3.6)
        raise Invalid("The default of a property must be ASCII.")
    return made


def shown(definition: object) -> Definition:
    """Read a definition from a row written by either service, with value types that clients expect."""
    if not isinstance(definition, dict):
        return {}
    found = cast("Definition", definition)
    return {key: _SHOWN.get(key, _as_it_is)(found[key]) for key in KEYS if _is_there(key, found)}


def definitions_shown(definitions: Mapping[str, Any] | None) -> dict[str, Definition]:
    """Read the definitions of an object; files loaded by Glance may have stored none (metadefs 12.3)."""
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
