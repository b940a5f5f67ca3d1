"""Plain values, as files have them, into the structs of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from glimpse.settings.model import Secret

T = TypeVar("T")


def from_text(fields: Mapping[str, Any], kind: type[T]) -> T:
    """A ``kind`` of these fields; texts become paths and secrets where it asks for them.

    :raises msgspec.ValidationError: a value does not fit its field.
    """
    return msgspec.convert(fields, kind, dec_hook=_from_str)


def _from_str(kind: type[Any], value: Any) -> Any:
    if kind is Path:
        return Path(value).expanduser()
    if kind is Secret:
        return Secret(value)
    raise NotImplementedError(f"no option is of type {kind.__name__}")
