"""``schema-image.json``: the operator's own image properties (configuration 9)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from glimpse.settings.errors import SettingsError


def custom_schema(directories: Sequence[Path]) -> dict[str, object] | None:
    """The content of the file in the first of ``directories`` that has it, None when there is none.

    :raises SettingsError: it cannot be read, or is no JSON object of objects.
    """
    file = next((d / "schema-image.json" for d in directories if (d / "schema-image.json").is_file()), None)
    if file is None:
        return None
    try:
        content: object = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The file {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SettingsError(f"The file {file} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise SettingsError(f"The file {file} must be a JSON object of property schemas.")
    schema = cast("dict[str, object]", content)
    properties = schema.get("properties", schema)
    described = list(cast("dict[str, object]", properties).values()) if isinstance(properties, dict) else [None]
    if not all(isinstance(entry, dict) for entry in described):
        raise SettingsError(f"The file {file} must describe each property by a JSON object.")
    return schema
