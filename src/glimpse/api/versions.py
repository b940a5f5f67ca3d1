"""Version discovery: the document, and the version that a request asks for (images-api 1.2 to 1.4)."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

_ACCEPT_PREFIX = "application/vnd.openstack.images-"

#: Versions that every installation has, newest first; 2.7 and older have no conditions and no gaps.
_OLD = tuple(f"v2.{minor}" for minor in range(7, -1, -1))
_CACHE_AND_STORES = ("v2.18", "v2.17", "v2.16", "v2.15", "v2.14", "v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.8")

#: Version ids in the order of the document, by (cache, several stores). 2.17 has the same place as in Glance.
_LISTED: dict[tuple[bool, bool], tuple[str, ...]] = {
    (True, True): (*_CACHE_AND_STORES, *_OLD),
    (True, False): ("v2.18", "v2.17", "v2.16", "v2.15", "v2.14", "v2.9", *_OLD),
    (False, True): ("v2.15", "v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.8", "v2.17", *_OLD),
    (False, False): ("v2.15", "v2.9", "v2.17", *_OLD),
}

_ACCEPTED = {condition: frozenset({"v2", *ids}) for condition, ids in _LISTED.items()}


#: The beginning of paths of other versions.
_VERSION_LIKE = re.compile(r"[vV][0-9]")


class Route(msgspec.Struct, frozen=True):
    """Destination of a request: the document with status 200 (``versions``) or 300 (``choices``), or the API.

    ``unknown`` is any other path, such as ``/favicon.ico``.
    ``path`` is the rest below the version: ``""`` for ``/v2``, which is redirected, and ``/`` for ``/v2/``.
    """

    kind: Literal["versions", "choices", "unknown", "v2"]
    path: str = ""


def current_version(*, cache: bool) -> str:
    """Return the id with status CURRENT in the document."""
    return "v2.18" if cache else "v2.17"


def base_url(public_endpoint: str | None, *, scheme: str, host: str, script_name: str) -> str:
    """Return the base of links: ``public_endpoint`` if set, else the URL of the request.

    ``host`` includes the port if the request has one.
    """
    return public_endpoint or f"{scheme}://{host}{script_name}"


def versions_document(*, cache: bool, multi: bool, base_url: str) -> bytes:
    """Build the document; ``cache`` and ``multi``: an image cache, or several stores, are configured."""
    current = current_version(cache=cache)
    links = [{"rel": "self", "href": f"{base_url.rstrip('/')}/v2/"}]
    versions = [
        {"id": version, "status": "CURRENT" if version == current else "SUPPORTED", "links": links}
        for version in _LISTED[cache, multi]
    ]
    return msgspec.json.encode({"versions": versions})


def negotiate(path: str, accept: str | None, *, cache: bool, multi: bool) -> Route:
    """Find the version that a request asks for; unknown versions and the root get the choices.

    Glance offers the choices for any path (images-api 1.4); docs/adr/0011 gives the reason for the difference.
    """
    segment, slash, rest = path.lstrip("/").partition("/")
    if segment == "versions":
        return Route("versions")
    if accept is not None and accept.startswith(_ACCEPT_PREFIX):
        version = accept.removeprefix(_ACCEPT_PREFIX)
        return Route("v2", path) if version in _ACCEPTED[cache, multi] else Route("choices")
    if segment in _ACCEPTED[cache, multi]:
        return Route("v2", slash + rest)
    return Route("choices" if not segment or _VERSION_LIKE.match(segment) else "unknown")
