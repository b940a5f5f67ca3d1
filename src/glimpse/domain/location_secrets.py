"""Masking of credentials in location URLs."""

from __future__ import annotations

import re
from typing import Final

from glimpse.errors import Invalid

MASK: Final = "***"

#: Schemes in which a query may contain a signature or a token.
_WITH_QUERY: Final = re.compile(r"(?:https?|s3(?:\+https?)?|swift(?:\+https?)?)://", re.IGNORECASE)
_MASKED: Final = re.compile(r"://\*\*\*@|[?&](?:[^&#]*=)?\*\*\*(?:[&#]|\Z)")
_PORT: Final = re.compile(r"(?:\[[^\]]*\]|[^:]*)(?::\d*)?")


def shown_url(url: str) -> str:
    """Mask user, password and query values in ``url``; a URL without these is returned unchanged.

    An unquoted password may contain a slash; then everything up to the last ``@`` is masked.
    """
    if "@" not in url and "?" not in url:
        return url
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        rest = f"{MASK}@{authority.rpartition('@')[2]}{rest[len(authority) :]}"
    elif "@" in rest and not _PORT.fullmatch(authority):
        rest = f"{MASK}@{rest.rpartition('@')[2]}"
    if "?" in rest and _WITH_QUERY.match(url):
        place, _, after = rest.partition("?")
        query, hash_sign, fragment = after.partition("#")
        rest = f"{place}?{'&'.join(map(_masked_argument, query.split('&')))}{hash_sign}{fragment}"
    return f"{scheme}://{rest}"


def refuse_masked(url: str) -> None:
    """Refuse a masked URL, so that the mask does not replace the credentials.

    :raises Invalid: ``url`` is a result of :func:`shown_url`.
    """
    if _MASKED.search(url):
        raise Invalid("The credentials in the location URL are masked; send the URL with its real credentials.")


def _masked_argument(argument: str) -> str:
    name, equals, _ = argument.partition("=")
    return f"{name}={MASK}" if equals else MASK if argument else ""
