"""What is wrong with the configuration, in one line for the operator."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

_LONGEST_VALUE = 120


class SettingsError(Exception):
    """The configuration cannot be used; ``reasons`` says what is wrong and what is allowed, each in one line."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons

    @classmethod
    def of_option(
        cls, section: str, name: str, allowed: str, *, value: str | None = None, origin: str | None = None
    ) -> SettingsError:
        """About one option. Leave ``value`` out where it is a secret; ``origin`` is a file or a variable."""
        shown = "" if value is None else f" = {_one_line(value)}"
        place = f" ({origin})" if origin else ""
        return cls(f"[{section}] {name}{shown}{place}: {allowed}")


class Faults:
    """Collects what is wrong, so that all of it is told at once."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    @contextmanager
    def collecting(self) -> Generator[None]:
        """Go on after a :class:`SettingsError` of the block, whose rest is left out."""
        try:
            yield
        except SettingsError as error:
            self.reasons += error.reasons

    def raise_any(self) -> None:
        """:raises SettingsError: something is wrong; the error has all of it."""
        if self.reasons:
            raise SettingsError(*dict.fromkeys(self.reasons))


def _one_line(value: str) -> str:
    text = value.encode("unicode_escape").decode("ascii") if not value.isprintable() else value
    if len(text) > _LONGEST_VALUE:
        text = text[:_LONGEST_VALUE] + "..."
    return f'"{text}"' if not text or text != text.strip() else text
