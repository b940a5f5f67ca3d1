"""Which names an object of a store may have: the id of its image, and the attempt that unfinished data bear.

Image ids are UUIDs by the image schema (images-api 3.1). The stores do not rely on it: a name that could
mean another directory, a hidden file or an option is refused here, before any driver builds a path of it.
"""

from __future__ import annotations

import re

from glimpse.errors import Invalid

#: Whether an object of a store can have this name. Like the next one a match itself: every upload asks both.
is_object_name = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}").fullmatch
#: Whether an attempt can have this name.
is_attempt_name = re.compile(r"[0-9A-Za-z]{1,64}").fullmatch


def check_names(image_id: str, attempt: str) -> None:
    """:raises Invalid: one of them cannot be part of the name of an object."""
    if not (is_object_name(image_id) and is_attempt_name(attempt)):
        raise name_error(image_id)


def name_error(image_id: str) -> Invalid:
    """Of an image id, or of the attempt where that is not the reason."""
    if not is_object_name(image_id):
        return Invalid("The image id cannot be the name of an object in a store.")
    return Invalid("The name of an upload attempt consists of at most 64 letters and digits.")
