"""``user_storage_quota`` as a number of bytes (images-api 6.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OPTION = ("DEFAULT", "user_storage_quota")
_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def quota_fields(values: Mapping[tuple[str, str], Any]) -> dict[str, int]:
    """The field of the settings that the option sets, where it is set; its text was checked."""
    return {"user_storage_quota": quota_bytes(values[_OPTION])} if _OPTION in values else {}


def quota_bytes(text: str) -> int:
    """Bytes of digits that a binary unit may follow."""
    digits = text.rstrip("BKMGT")
    return int(digits) * _UNITS[text[len(digits) :] or "B"]
