"""The definition of an option: its section and name, type, allowed values, field of the settings, and default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import msgspec

from glimpse.settings.model import Secret, Settings

Kind = Literal["string", "integer", "number", "boolean", "list", "bounded", "map", "multi"]

#: Description of each kind, for messages and documentation.
WRITTEN: dict[Kind, str] = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list separated by commas",
    "bounded": "a list, with or without square brackets, for instance [one,two]",
    "map": "pairs name:value separated by commas",
    "multi": "text; the line may be repeated",
}

#: Returns what is allowed if the value is invalid, else None.
Check = Callable[[object], str | None]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option of one section.

    ``target`` is the field of :class:`~glimpse.settings.model.Settings` that it sets (``limits.image_tag_quota``), and
    the default is that field's; without a target, ``settings/load.py`` handles the option specially. ``used`` is false
    while the feature does not exist: the value is checked and then ignored. ``moved_from`` lists former sections and
    names, which are still read.
    """

    section: str
    name: str
    kind: Kind
    help: str
    target: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    used: bool = True
    moved_from: tuple[tuple[str, str], ...] = ()
    check: Check | None = None
    #: default in the documentation, if it differs from the field's
    default_text: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Section and name, the key of values."""
        return (self.section, self.name)

    def allowed(self) -> str:
        """Return what a value must be, as the end of a sentence that begins with the option."""
        if self.choices:
            return f"must be one of {', '.join(self.choices)}"
        bounds = _bounds(self.minimum, self.maximum)
        return f"must be {WRITTEN[self.kind]}{bounds}"


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f" from {minimum:.15g} to {maximum:.15g}" if maximum < 1e15 else f" from {minimum:g}"
    if minimum is not None:
        return f" of at least {minimum:g}"
    return f" of at most {maximum:g}" if maximum is not None else ""


# ------------------------------------------------- Plain values, as files have them, into the structs of the settings

T = TypeVar("T")


def from_text(fields: Mapping[str, Any], kind: type[T]) -> T:
    """Build a ``kind`` from these fields; strings become paths and secrets if the type requires it.

    :raises msgspec.ValidationError: a value does not fit its field.
    """
    return msgspec.convert(fields, kind, dec_hook=_from_str)


def _from_str(kind: type[Any], value: Any) -> Any:
    if kind is Path:
        return Path(value).expanduser()
    if kind is Secret:
        return Secret(value)
    raise NotImplementedError(f"no option is of type {kind.__name__}")


# ----------------------------------------------- The default of an option as a text, for documentation and ``--help``


def default_of(option: Option) -> str:
    """Return the default of an option, in Markdown.

    :raises LookupError: it sets no field of the settings, and has no ``default_text``.
    """
    if option.default_text is not None:
        return option.default_text
    if option.target is None:
        raise LookupError(f"{option.place} needs a default_text")
    part, _, field = option.target.partition(".")
    types = {found.name: found.type for found in msgspec.structs.fields(Settings)}
    defaults = {found.name: found.default for found in msgspec.structs.fields(types[part])}
    return written(defaults[field])


def written(value: Any, *, octal: bool = False) -> str:
    """Format a value in Markdown; ``octal`` for file modes."""
    if value is None:
        return "none"
    if value == "":
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | dict):
        names = [str(name) for name in cast("Iterable[object]", value)]
        return f"`{', '.join(names)}`" if names else "empty"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value:o}`" if octal else f"`{value}`"
