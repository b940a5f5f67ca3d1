"""Checks the properties of one image against metadata definitions: which are defined, and which values are invalid.

This is only a report and refuses nothing (an extension of Glimpse). Definitions have their names on images, including
the prefix (metadefs 8).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import jsonschema_rs
import msgspec

from glimpse.domain.metadef import NamespaceContent

#: The resource type of images.
IMAGE_TYPE = "OS::Glance::Image"

_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")
_OPERATOR = re.compile(r"\s*<(?P<name>[a-z-]+)>\s*")
#: Patterns and values come from different users: no pattern may keep the service busy.
_BOUNDED = jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000)


class DefinitionFound(msgspec.Struct, frozen=True, kw_only=True):
    """One definition of a property, and the violations of it by the value, if any."""

    namespace: str
    object: str | None
    type: str | None
    problems: tuple[str, ...]


class PropertyReport(msgspec.Struct, frozen=True, kw_only=True):
    """One property of the image.

    ``status`` is ``undefined``, ``valid`` if the value fits at least one definition, otherwise ``invalid``: namespaces
    for different hypervisors define the same key differently.
    """

    name: str
    value: str | None
    status: str
    definitions: tuple[DefinitionFound, ...]


class MetadefReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report on all custom properties of an image, ordered by name."""

    properties: tuple[PropertyReport, ...]

    @property
    def invalid(self) -> tuple[PropertyReport, ...]:
        """Properties whose value fits none of their definitions."""
        return tuple(one for one in self.properties if one.status == "invalid")


def metadef_report(
    properties: Mapping[str, str | None], namespaces: Iterable[NamespaceContent], resource_type: str = IMAGE_TYPE
) -> MetadefReport:
    """Check the properties of an image against the definitions of namespaces that the caller may see.

    These are namespaces associated with ``resource_type``, or with no resource type at all, like the common image
    properties.
    """
    found: dict[str, list[DefinitionFound]] = {name: [] for name in properties}
    for content in namespaces:
        for prefix in _prefixes(content, resource_type):
            for group, name, definition in _definitions(content):
                key = prefix + name
                if key in found:
                    found[key].append(
                        DefinitionFound(
                            namespace=content.namespace.namespace,
                            object=group,
                            type=definition.get("type"),
                            problems=tuple(problems(definition, properties[key])),
                        )
                    )
    return MetadefReport(
        properties=tuple(
            PropertyReport(name=name, value=properties[name], status=_status(found[name]), definitions=(*found[name],))
            for name in sorted(found)
        )
    )


def problems(definition: Mapping[str, Any], value: str | None) -> Iterator[str]:
    """Return the violations of a definition by a value, one sentence each. Never raises, whatever the definition is."""
    if value is None:
        yield "has no value"
        return
    match definition.get("type"):
        case "integer":
            yield from _of_number(definition, int(value) if _WHOLE.fullmatch(value) else None, "a whole number")
            yield from _of_choice(definition, value)
        case "number":
            yield from _of_number(definition, _number(value), "a number")
            yield from _of_choice(definition, value)
        case "boolean":
            if value.lower() not in ("true", "false"):
                yield "is neither true nor false"
        case "array":
            yield from _of_array(definition, value)
        case "object":
            if not _is_object(value):
                yield "is not a JSON object"
        case _:
            yield from _of_text(definition, value)


def _prefixes(content: NamespaceContent, resource_type: str) -> list[str]:
    if not content.associations:
        return [""]
    return [one.prefix or "" for one in content.associations if one.name == resource_type]


def _definitions(content: NamespaceContent) -> Iterator[tuple[str | None, str, dict[str, Any]]]:
    """Yield object (or None), name and definition. Invalid definitions in old rows count as empty."""
    for one in content.properties:
        yield None, one.name, one.schema
    for group in content.objects:
        for name, definition in (group.properties or {}).items():
            yield group.name, name, definition if isinstance(definition, dict) else {}


def _status(definitions: Sequence[DefinitionFound]) -> str:
    if not definitions:
        return "undefined"
    return "invalid" if all(one.problems for one in definitions) else "valid"


def _of_text(definition: Mapping[str, Any], value: str) -> Iterator[str]:
    yield from _of_count(definition, "minLength", "maxLength", len(value), "characters")
    pattern = definition.get("pattern")
    if isinstance(pattern, str):
        yield from _of_pattern(pattern, value)
    choice = _choice(definition)
    if choice is not None and definition.get("operators") and _OPERATOR.match(value):
        yield from _strangers(choice, _alternatives(value))
    else:
        yield from _of_choice(definition, value)


def _of_pattern(pattern: str, value: str) -> Iterator[str]:
    try:
        validator = jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=_BOUNDED)
    except ValueError:  # jsonschema_rs raises the same error for an invalid pattern
        yield f"cannot be checked: the pattern {pattern} is not supported"
        return
    if not validator.is_valid(value):
        yield f"does not match the pattern {pattern}"


def _of_choice(definition: Mapping[str, Any], value: str) -> Iterator[str]:
    choice = _choice(definition)
    if choice is not None:
        yield from _strangers(choice, [value])


def _of_number(definition: Mapping[str, Any], number: float | None, kind: str) -> Iterator[str]:
    if number is None:
        yield f"is not {kind}"
        return
    least, most = _bound(definition, "minimum"), _bound(definition, "maximum")
    if least is not None and number < least:
        yield f"is less than {least}"
    if most is not None and number > most:
        yield f"is more than {most}"


def _of_count(definition: Mapping[str, Any], least_key: str, most_key: str, count: int, unit: str) -> Iterator[str]:
    least, most = _bound(definition, least_key), _bound(definition, most_key)
    if least is not None and count < least:
        yield f"has {count} {unit}, fewer than {least}"
    if most is not None and count > most:
        yield f"has {count} {unit}, more than {most}"


def _of_array(definition: Mapping[str, Any], value: str) -> Iterator[str]:
    """Clients write ``<operator> a,b`` (metadefs 13.1); services also accept the operator before each item."""
    members = _alternatives(value)
    items = definition.get("items")
    choice = _choice(cast("dict[str, Any]", items)) if isinstance(items, dict) else None
    if choice is not None:
        yield from _strangers(choice, members)
    yield from _of_count(definition, "minItems", "maxItems", len(members), "items")
    if definition.get("uniqueItems") is True and len(set(members)) < len(members):
        yield "has a duplicate item"


def _alternatives(value: str) -> list[str]:
    """Return the items of ``<or> a <or> b``, of ``<in> a,b`` and of ``a,b``."""
    pieces = _OPERATOR.sub(",", value).split(",")
    return [piece.strip() for piece in pieces if piece.strip()]


def _strangers(choice: list[str], members: Iterable[str]) -> Iterator[str]:
    for member in members:
        if member not in choice:
            yield f"{member!r} is not one of {_shown(choice)}"


def _shown(choice: list[str]) -> str:
    return ", ".join(choice) if len(choice) <= 12 else f"{', '.join(choice[:10])} and {len(choice) - 10} more"


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _bound(definition: Mapping[str, Any], key: str) -> float | None:
    value = definition.get(key)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _choice(definition: Mapping[str, Any]) -> list[str] | None:
    values = definition.get("enum")
    return [str(value) for value in cast("list[Any]", values)] if isinstance(values, list) else None


def _is_object(value: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(value), dict)
    except (msgspec.DecodeError, RecursionError):
        return False
