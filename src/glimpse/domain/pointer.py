"""The pointers of an image PATCH (images-api 3.5.1), which differ slightly from JSON pointers."""

from __future__ import annotations

import re

from glimpse.errors import Invalid

_ADJACENT_SLASHES = re.compile(r"/\s*/")
_BAD_ESCAPE = re.compile(r"~(?![01])")


def parse_pointer(pointer: str) -> tuple[str, ...]:
    """Return the unescaped parts of a pointer, at least one; ``/`` is the property with the empty name.

    :raises Invalid: the pointer is malformed.
    """
    if not pointer.startswith("/"):
        raise Invalid("A pointer must start with a slash.")
    # The first character is skipped, because a second slash directly after it is accepted.
    if _ADJACENT_SLASHES.search(pointer, 1):
        raise Invalid("A pointer must not contain adjacent slashes.")
    if len(pointer) > 1 and pointer.endswith("/"):
        raise Invalid("A pointer must not end with a slash.")
    if _BAD_ESCAPE.search(pointer):
        raise Invalid("A pointer may contain '~' only as part of the escapes '~0' and '~1'.")
    return tuple(_unescape(part.strip()) for part in pointer.lstrip("/").split("/"))


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
