"""Location URIs of RBD images: ``rbd://<fsid>/<pool>/<image>/<snapshot>`` (store-formats 8.1)."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import msgspec

from glimpse.stores import object_errors
from glimpse.stores.argument_checks import after_scheme

SCHEMES = ("rbd",)

#: The snapshot of every image.
SNAPSHOT = "snap"

_UNFINISHED = re.compile(r"\.([0-9A-Za-z][0-9A-Za-z._-]{0,127})\.([0-9A-Za-z]{1,64})\.partial")


class RbdLocation(msgspec.Struct, frozen=True):
    """The parts of a location; only ``image`` is known in the old form ``rbd://<image>``."""

    image: str
    fsid: str | None = None
    pool: str | None = None
    snapshot: str | None = None


def parsed(url: str, store_id: str) -> RbdLocation:
    """Return the parts of ``url``.

    :raises ForeignLocation: it does not have one or four parts, or a part cannot be a name in Ceph.
    """
    parts = [unquote(part) for part in after_scheme(url, SCHEMES, store_id).split("/")]
    if len(parts) not in {1, 4} or not all(map(_is_name, parts)):
        raise object_errors.foreign(store_id, "it does not name an RBD image")
    if len(parts) == 1:
        return RbdLocation(parts[0])
    fsid, pool, image, snapshot = parts
    return RbdLocation(image, fsid, pool, snapshot)


def location_url(fsid: str, pool: str, image: str) -> str:
    """Return the location of an image that this driver wrote."""
    return f"{prefix(fsid, pool)}{quote(image, safe='')}/{SNAPSHOT}"


def prefix(fsid: str, pool: str) -> str:
    """Return the beginning of the locations of all images in ``pool``."""
    return f"rbd://{quote(fsid, safe='')}/{quote(pool, safe='')}/"


def unfinished_name(image_id: str, attempt: str) -> str:
    """Return the name of the unfinished data of an attempt, which no location can contain."""
    return f".{image_id}.{attempt}.partial"


def unfinished_parts(name: str) -> tuple[str, str] | None:
    """Return the image id and the attempt of an unfinished name, None for any other name."""
    found = _UNFINISHED.fullmatch(name)
    return None if found is None else (found[1], found[2])


def _is_name(part: str) -> bool:
    # a leading dot marks unfinished data, which have no location; printable: no NUL, no undecodable bytes
    return bool(part) and not part.startswith(".") and part.isprintable() and "\N{REPLACEMENT CHARACTER}" not in part
