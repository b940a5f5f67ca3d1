"""What an option is: its place, its type, what it may hold, and which field of the settings it sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

Kind = Literal["string", "integer", "number", "boolean", "list", "bounded", "map", "multi"]

#: How each kind is written, for messages and documentation.
WRITTEN: dict[Kind, str] = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list separated by commas",
    "bounded": "a list in square brackets, for instance [one,two]",
    "map": "pairs name:value separated by commas",
    "multi": "text; the line may be repeated",
}

#: Says what is allowed when the value is wrong, else None.
Check = Callable[[object], str | None]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option of one section.

    ``target`` is the field of :class:`~glimpse.settings.model.Settings` that it sets (``limits.image_tag_quota``), and
    the default is that field's; without a target ``settings/load.py`` does more with it than copying.
    ``used`` is false while the feature does not exist: the value is checked and then set aside.
    ``moved_from`` lists places where it stood in former releases, which are still read.
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
    #: in documentation, where the field's own default does not tell
    default_text: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Section and name, by which values are kept."""
        return (self.section, self.name)

    def allowed(self) -> str:
        """What a value must be, as the end of a sentence that begins with the option."""
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
