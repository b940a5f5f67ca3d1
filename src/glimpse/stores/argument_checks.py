"""Argument checks of the drivers: object names, location URIs, ranges.

Image ids are UUIDs by the image schema (images-api 3.1). The stores do not rely on it: a name that could mean another
directory, a hidden file or an option is refused here, before a driver builds a path from it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from glimpse.errors import ForeignLocation, Invalid, RangeNotSatisfiable

#: Match a valid object name. This and the next are bound methods for speed: every upload calls both.
is_object_name = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}").fullmatch
#: Match a valid attempt name.
is_attempt_name = re.compile(r"[0-9A-Za-z]{1,64}").fullmatch

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def check_names(image_id: str, attempt: str) -> None:
    """:raises Invalid: one of them is not valid in the name of an object."""
    if not (is_object_name(image_id) and is_attempt_name(attempt)):
        raise name_error(image_id)


def name_error(image_id: str) -> Invalid:
    """Return the error for an invalid image id or, if the id is valid, for the attempt name."""
    if not is_object_name(image_id):
        return Invalid("The image id is not a valid name for an object in a store.")
    return Invalid("The name of an upload attempt consists of at most 64 letters and digits.")


def split_url(url: str) -> tuple[str, str]:
    """Return the scheme of a location and the part after ``://``.

    :raises ForeignLocation: it is not a URI.
    """
    scheme, _, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not rest or not _SCHEME.fullmatch(scheme):
        raise ForeignLocation("A location must be a URI with a scheme and a path.")
    return scheme, rest


def after_scheme(url: str, schemes: Collection[str], store_id: str) -> str:
    """Return the part after ``://`` of a location of the store, which serves ``schemes``.

    :raises ForeignLocation: it is not a URI, or has another scheme.
    """
    scheme, rest = split_url(url)
    if scheme not in schemes:
        raise ForeignLocation(f"Store {store_id} does not serve locations of the scheme {scheme}.")
    return rest


def span_length(size: int, offset: int, length: int | None) -> int:
    """Return the length of a range from ``offset`` in an object of ``size`` bytes; ``length`` None: to the end.

    The only range of an empty object is the empty one at offset 0.

    :raises RangeNotSatisfiable: the range is not within the object (``stores.base.Store.reader``).
    """
    wanted = size - offset if length is None else length
    if offset < 0 or wanted < 0 or offset + wanted > size or (offset >= size > 0):
        raise RangeNotSatisfiable(f"The range is not within the {size} bytes of the data.", size)
    return wanted
