"""Checks of values before any statement, the same for every database.

Characters outside the BMP are refused everywhere, because the tables may have a 3-byte charset (database
1.7); NUL, because PostgreSQL has no room for it; and lengths, because SQLite does not check them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from glimpse.domain.image import Image, ImageChange, Location
from glimpse.errors import Invalid

#: Longest text column, in bytes (TXT of the type key).
TEXT_BYTES = 65535

#: Characters that cannot be stored.
UNSTORABLE = re.compile("[\x00\ud800-\udfff\U00010000-\U0010ffff]")

# Characters that fit the text columns of ``images``.
_LENGTHS = {
    "name": 255,
    "status": 30,
    "disk_format": 20,
    "container_format": 20,
    "checksum": 32,
    "owner": 255,
    "os_hash_algo": 64,
    "os_hash_value": 128,
}
_INTEGERS = {"size": 2**63 - 1, "virtual_size": 2**63 - 1, "min_disk": 2**31 - 1, "min_ram": 2**31 - 1}


def storable(text: str) -> bool:
    """Tell whether this text can be stored, regardless of its length."""
    return UNSTORABLE.search(text) is None


def require_storable(texts: Iterable[str | None]) -> None:
    """Refuse texts that cannot be stored.

    :raises Invalid: one has a character outside the BMP, a NUL or half of a surrogate pair.
    """
    if UNSTORABLE.search("".join(filter(None, texts))):
        raise Invalid("Characters outside the Unicode Basic Multilingual Plane, and NUL, are not supported.")


def require_short(text: str | None, longest: int, what: str) -> None:
    """Refuse a text of more than ``longest`` characters; ``what`` names it for the user.

    :raises Invalid: it is longer.
    """
    if text is not None and len(text) > longest:
        raise Invalid(f"{what} is longer than {longest} characters.")


def require_columns(columns: Mapping[str, Any]) -> None:
    """Check new values of columns of ``images``.

    :raises Invalid: a text or a number does not fit its column.
    """
    require_storable([value for value in columns.values() if isinstance(value, str)])
    for column, value in columns.items():
        if value is None:
            continue
        if (longest := _LENGTHS.get(column)) and len(value) > longest:
            raise Invalid(f"The value of {column} is longer than {longest} characters.")
        if (largest := _INTEGERS.get(column)) and not 0 <= value <= largest:
            raise Invalid(f"The value of {column} is not between 0 and {largest}.")


def require_properties(properties: Mapping[str, str | None]) -> None:
    """Check custom properties (images-api 3.2).

    :raises Invalid: a name has more than 255 characters, or a value more than 65,535 bytes in UTF-8.
    """
    require_storable(properties)
    require_storable(properties.values())
    for name, value in properties.items():
        if len(name) > 255:
            raise Invalid("The name of a property is longer than 255 characters.")
        # no character that is let through has more than 3 bytes
        if value is not None and len(value) * 3 > TEXT_BYTES and len(value.encode()) > TEXT_BYTES:
            raise Invalid(f"The value of the property {name} is longer than {TEXT_BYTES} bytes.")


def require_tags(tags: Iterable[str]) -> None:
    """Check tags (images-api 3.7).

    :raises Invalid: one has more than 255 characters, or some that cannot be stored.
    """
    require_storable(tags)
    for tag in tags:
        require_short(tag, 255, "A tag")


def require_location(location: Location) -> None:
    """Check the URL and the status of a location; its metadata are stored as ASCII.

    :raises Invalid: the URL has more than 65,535 bytes, or characters that cannot be stored.
    """
    require_storable((location.url, location.status))
    require_short(location.status, 30, "The status of a location")
    if len(location.url.encode()) > TEXT_BYTES:
        raise Invalid(f"The URL of a location is longer than {TEXT_BYTES} bytes.")


def require_change(change: ImageChange) -> None:
    """Check everything that a change writes.

    :raises Invalid: see the functions above.
    """
    require_columns(change.columns)
    if change.set_properties:
        require_properties(change.set_properties)
    if change.tags:
        require_tags(change.tags)
    if change.add_tags:
        require_tags(change.add_tags)


def require_image(image: Image) -> None:
    """Check everything of a new image but its locations.

    :raises Invalid: see the functions above; also an id that is longer than its column.
    """
    require_storable((image.id,))
    require_short(image.id, 36, "The id of an image")
    require_columns({column: getattr(image, column) for column in (*_LENGTHS, *_INTEGERS)})
    require_properties(image.properties)
    require_tags(image.tags)
