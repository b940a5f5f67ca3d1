"""What is wrong with the configuration, in one line for the operator."""

from __future__ import annotations

_LONGEST_VALUE = 120


class SettingsError(Exception):
    """The configuration cannot be used; ``str(error)`` is one line that says what is wrong and what is allowed."""

    @classmethod
    def of_option(
        cls, section: str, name: str, allowed: str, *, value: str | None = None, origin: str | None = None
    ) -> SettingsError:
        """About one option. Leave ``value`` out where it is a secret; ``origin`` is a file or a variable."""
        shown = "" if value is None else f" = {_one_line(value)}"
        place = f" ({origin})" if origin else ""
        return cls(f"[{section}] {name}{shown}{place}: {allowed}")


def _one_line(value: str) -> str:
    text = value.encode("unicode_escape").decode("ascii") if not value.isprintable() else value
    if len(text) > _LONGEST_VALUE:
        text = text[:_LONGEST_VALUE] + "..."
    return f'"{text}"' if not text or text != text.strip() else text
