"""Limits on a single image (images-api 0.5 and 6.1)."""

from __future__ import annotations

import re
from typing import Protocol

from glimpse.errors import Invalid, LimitExceeded

#: Maximum of ``min_disk`` (GiB) and ``min_ram`` (MiB): the columns are signed 32-bit integers.
MINIMUM_CEILING = 2**31 - 1

#: Maximum length of a custom property's name, in characters.
PROPERTY_NAME_LENGTH = 255

_NOT_STORABLE = re.compile("[\0\U00010000-\U0010ffff]")


class ImageLimits(Protocol):
    """The quotas on one image; negative means no limit."""

    @property
    def image_property_quota(self) -> int:
        """Maximum number of custom properties."""
        ...

    @property
    def image_tag_quota(self) -> int:
        """Maximum number of tags."""
        ...


def check_count(kind: str, attempted: int, maximum: int) -> None:
    """Refuse more than ``maximum`` things; ``kind`` is their plural, for the message.

    :raises LimitExceeded: ``attempted`` is more than ``maximum``, and ``maximum`` is not negative.
    """
    if 0 <= maximum < attempted:
        raise LimitExceeded(f"The limit on {kind} is exceeded: {attempted} attempted, {maximum} allowed.")


def not_negative(name: str, value: int) -> int:
    """``value`` itself, that of ``min_disk`` or ``min_ram``.

    :raises Invalid: it is negative.
    """
    if value < 0:
        raise Invalid(f"{name} must not be negative.")
    return value


def fits_column(name: str, value: int) -> int:
    """``value`` itself, that of ``min_disk`` or ``min_ram``.

    :raises Invalid: it is too large for the database column.
    """
    if value > MINIMUM_CEILING:
        raise Invalid(f"{name} must not be more than {MINIMUM_CEILING}.")
    return value


def check_tag(tag: str) -> None:
    """Refuse a tag that cannot be in a URL: clients and proxies resolve the path segments ``.`` and ``..``.

    :raises Invalid: ``tag`` is one of these, or cannot be stored.
    """
    if tag in {".", ".."}:
        raise Invalid("A tag must not be '.' or '..', because URLs cannot contain it (RFC 3986, section 5.2.4).")
    check_text("tag", tag)


def check_text(what: str, text: str) -> None:
    """Refuse characters that not every supported database can store.

    :raises Invalid: ``text`` has a character outside the Unicode BMP (images-api 0.5), or U+0000.
    """
    if _NOT_STORABLE.search(text):
        raise Invalid(f"The {what} has a character that cannot be stored (outside the Unicode BMP, or NUL).")
