"""The default of an option as a text, for documentation and ``--help``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from glimpse.settings.model import Settings
from glimpse.settings.options import Option


def default_of(option: Option) -> str:
    """What an option is when nobody sets it, in Markdown.

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
    """A value of an option in Markdown; ``octal`` for the modes of files."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | dict):
        names = [str(name) for name in cast("Iterable[object]", value)]
        return f"`{', '.join(names)}`" if names else "empty"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value:o}`" if octal else f"`{value}`"
