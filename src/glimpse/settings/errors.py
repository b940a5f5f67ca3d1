"""Configuration errors, one line each, for the operator."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

_LONGEST_VALUE = 120


class SettingsError(Exception):
    """The configuration is invalid; ``reasons`` lists what is wrong and what is allowed, one line each."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons

    @classmethod
    def of_option(
        cls, section: str, name: str, allowed: str, *, value: str | None = None, origin: str | None = None
    ) -> SettingsError:
        """Build the error of one option. Omit ``value`` if it is secret; ``origin`` is a file or a variable."""
        shown = "" if value is None else f" = {_one_line(value)}"
        place = f" ({origin})" if origin else ""
        return cls(f"[{section}] {name}{shown}{place}: {allowed}")


class Problems:
    """Collects errors, so that all are reported at once."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    @contextmanager
    def collecting(self) -> Generator[None]:
        """Record a :class:`SettingsError` of the block and continue after the block."""
        try:
            yield
        except SettingsError as error:
            self.reasons += error.reasons

    def raise_any(self) -> None:
        """:raises SettingsError: there are errors; it contains all of them."""
        if self.reasons:
            raise SettingsError(*dict.fromkeys(self.reasons))


def _one_line(value: str) -> str:
    text = value.encode("unicode_escape").decode("ascii") if not value.isprintable() else value
    if len(text) > _LONGEST_VALUE:
        text = text[:_LONGEST_VALUE] + "..."
    return f'"{text}"' if not text or text != text.strip() else text
