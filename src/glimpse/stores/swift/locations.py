"""Location URIs of Swift, and the names of containers and segments (store-formats 7.1 and 7.2)."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec

from glimpse.errors import ForeignLocation
from glimpse.settings.model import Secret
from glimpse.stores import object_errors
from glimpse.stores.argument_checks import after_scheme
from glimpse.stores.swift.options import SCHEMES

#: ``<image id>.<attempt>.<number>``: a segment of an attempt. Glance's segments are ``<image id>-<number>``, so neither
#: service's manifests by prefix include leftovers of the other (ADR 0020).
_SEGMENT = re.compile(r"(.+)\.([0-9A-Za-z]{1,64})\.(\d{5,}|part\d{5,})")
_GLANCE_SEGMENT = re.compile(r"(.+)-(\d{5,})")
#: The number of the marker of an attempt; segments begin with 1.
MARKER = 0


class Place(NamedTuple):
    """A container and an object in it."""

    container: str
    name: str

    @property
    def path(self) -> str:
        """Path below the storage URL, quoted."""
        return f"/{quote(self.container, safe='')}/{quote(self.name)}"


class SwiftLocation(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed location: one of ``reference`` (``swift+config``) and ``address`` is set.

    ``address``: the URL of the identity service or, with multi-tenant stores, the storage URL. ``user`` and ``key`` are
    the credentials in the location.
    """

    place: Place
    reference: str | None = None
    address: str | None = None
    user: str | None = None
    key: Secret | None = None


def parse(url: str, store_id: str) -> SwiftLocation:
    """Parse a location of store ``store_id``.

    :raises ForeignLocation: it is not a location of Swift, or contains more than one ``://``.
    """
    rest = after_scheme(url, SCHEMES, store_id)
    base, _, name = rest.rpartition("/")
    base, _, container = base.rpartition("/")
    name, container = unquote(name), unquote(container)
    printable = (base + container + name).isprintable()
    if not (base and container and name) or "://" in rest or "/" in container or name in {".", ".."} or not printable:
        raise object_errors.foreign(store_id)
    place = Place(container, name)
    scheme = url.strip().partition("://")[0].lower()
    if scheme == "swift+config":
        if "@" in base or "/" in base:
            raise object_errors.foreign(store_id)
        return SwiftLocation(place=place, reference=unquote(base))
    credentials, at, host = base.rpartition("@")
    address = f"{'http' if scheme == 'swift+http' else 'https'}://{host}"
    if not at:
        return SwiftLocation(place=place, address=address)
    user, colon, key = credentials.partition(":")
    # the colon between project and user is quoted; where it is not, the last colon precedes the key
    if "%3a" in user.lower():
        user, key = unquote(user), unquote(key)
    else:
        user, colon, key = unquote(credentials).rpartition(":")
    if not colon:
        raise ForeignLocation("The credentials of the location are not a user and a key.")
    return SwiftLocation(place=place, address=address, user=user, key=Secret(key))


def direct_prefix(address: str, user: str | None, key: str | None) -> str:
    """Return the beginning of locations with the address of the identity service, up to the container.

    A key with ``/`` is quoted, unlike in Glance, whose locations with such a key cannot be read (store-formats 7.1).
    """
    scheme, _, rest = address.partition("://")
    credentials = "" if user is None or key is None else f"{quote(user, safe='')}:{quote(key, safe='')}@"
    return f"{'swift+http' if scheme == 'http' else 'swift+https'}://{credentials}{rest.strip('/')}/"


def reference_prefix(reference: str) -> str:
    """Return the beginning of locations with a section of the reference file, up to the container."""
    return f"swift+config://{quote(reference, safe='')}/"


def same_address(first: str, second: str) -> bool:
    """Tell whether two URLs of a service are the same; upper case in the host and ``/`` at the end do not matter."""
    return _normal(first) == _normal(second)


def same_origin(first: str, second: str) -> bool:
    """Tell whether two URLs have the same scheme, host and port."""
    return _origin(first) == _origin(second)


def _normal(url: str) -> str:
    return _origin(url) + "/" + url.partition("://")[2].partition("/")[2].strip("/")


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].lower()
    default = ":80" if scheme.lower() == "http" else ":443"
    return f"{scheme.lower()}://{host.removesuffix(default)}"


def container_of(container: str, seed: int, image_id: str) -> str:
    """Return the container of an image in a single-tenant store (store-formats 7.2)."""
    if not seed:
        return container
    first = image_id.lower()[:seed]
    return f"{container}_{image_id.lower()[: seed + first.count('-')]}"


def segment_prefix(image_id: str, attempt: str) -> str:
    """Return what the names of all segments of an attempt begin with."""
    return f"{image_id}.{attempt}."


def segment_name(image_id: str, attempt: str, number: int) -> str:
    """Return the name of a segment; the names sort in the order of the data."""
    return f"{segment_prefix(image_id, attempt)}{number:05}"


def manifest_name(image_id: str, attempt: str, number: int) -> str:
    """Return the name of a manifest of part of the segments, for images of very many."""
    return f"{segment_prefix(image_id, attempt)}part{number:05}"


def attempt_of(name: str) -> tuple[str, str] | None:
    """Return the image id and the attempt in the name of a segment, None for another name."""
    found = _SEGMENT.fullmatch(name)
    return (found[1], found[2]) if found else None


def is_glance_segment(name: str) -> bool:
    """Tell whether a name is that of a segment which Glance wrote (store-formats 7.3)."""
    return _GLANCE_SEGMENT.fullmatch(name) is not None
