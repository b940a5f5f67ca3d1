"""Location URIs, as far as all stores have them in common (store-formats 1.1)."""

from __future__ import annotations

import re
from collections.abc import Collection

from glimpse.errors import ForeignLocation

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def split_url(url: str) -> tuple[str, str]:
    """The scheme of a location, and what follows ``://``.

    :raises ForeignLocation: it is no URI.
    """
    scheme, _, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not rest or not _SCHEME.fullmatch(scheme):
        raise ForeignLocation("A location must be a URI with a scheme and a path.")
    return scheme, rest


def after_scheme(url: str, schemes: Collection[str], store_id: str) -> str:
    """What follows ``://`` in a location of the store, which serves ``schemes``.

    :raises ForeignLocation: it is no URI, or one of another scheme.
    """
    scheme, rest = split_url(url)
    if scheme not in schemes:
        raise ForeignLocation(f"Store {store_id} does not serve locations of the scheme {scheme}.")
    return rest
