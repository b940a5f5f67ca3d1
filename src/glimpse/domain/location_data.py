"""Client input about locations: metadata, and digests of the data (images-api 3.5.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from glimpse.domain.limits import check_text
from glimpse.errors import Conflict, Invalid

# ---------------------------------------------------------------------------- Masking of credentials in location URLs

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


def is_masked(url: str) -> bool:
    """Tell whether ``url`` may be a result of :func:`shown_url` that lacks credentials."""
    return _MASKED.search(url) is not None


def refuse_masked(url: str) -> None:
    """Refuse a masked URL, so that the mask does not replace the credentials.

    :raises Invalid: ``url`` is a result of :func:`shown_url`.
    """
    if is_masked(url):
        raise Invalid("The credentials in the location URL are masked; send the URL with its real credentials.")


def _masked_argument(argument: str) -> str:
    name, equals, _ = argument.partition("=")
    return f"{name}={MASK}" if equals else MASK if argument else ""


#: Maximum length of a location's URL, in bytes of UTF-8 (database 3.3).
URL_BYTES = 65535

#: Algorithms that ``POST …/locations`` accepts, with the number of hex digits (imports-and-stores 5.4).
ALGORITHMS = {"sha1": 40, "sha256": 64, "sha512": 128, "md5": 32}

_HEX = re.compile(r"[0-9a-fA-F]*")


class Digest(msgspec.Struct, frozen=True):
    """The expected digest of a location's data: algorithm, hex digits in lower case, and optionally the MD5."""

    algorithm: str
    value: str
    checksum: str | None = None


class LocationRequest(msgspec.Struct, frozen=True):
    """The validated body of ``POST …/locations``."""

    url: str
    digest: Digest | None = None


def location_request(document: Mapping[str, object]) -> LocationRequest:
    """Read the body of ``POST …/locations``; unknown top-level keys are ignored (imports-and-stores 5.4).

    The digest itself is checked by :func:`check_digest`.

    :raises Invalid: the body violates the schema.
    """
    url = document.get("url")
    if not isinstance(url, str) or not url:
        raise Invalid("The body must contain 'url' (a string).")
    check_url(url)
    refuse_masked(url)
    if "validation_data" not in document:
        return LocationRequest(url)
    given = document["validation_data"]
    if not isinstance(given, Mapping):
        raise Invalid("'validation_data' must be an object.")
    return LocationRequest(url, _digest(cast("Mapping[str, object]", given)))


def _digest(given: Mapping[str, object]) -> Digest | None:
    # Cinder names the store here, which follows from the URL (imports-and-stores 10.2)
    keys = given.keys() - {"store"}
    if not isinstance(given.get("store", ""), str) or keys not in (set(), {"os_hash_algo", "os_hash_value"}):
        raise Invalid(
            "'validation_data' must contain both os_hash_algo and os_hash_value, or neither; "
            "besides these only 'store' (a string)."
        )
    if not keys:
        return None
    algorithm, value = given["os_hash_algo"], given["os_hash_value"]
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Invalid(f"The value of os_hash_algo must be one of {', '.join(ALGORITHMS)}.")
    if not isinstance(value, str) or len(value) > 128:
        raise Invalid("The value of os_hash_value must be a string of at most 128 characters.")
    return Digest(algorithm, value.lower())


def check_digest(digest: Digest) -> None:
    """Refuse an impossible digest (imports-and-stores 5.4).

    :raises Invalid: it is not hex, or not of the length of its algorithm.
    """
    digits = ALGORITHMS[digest.algorithm]
    if len(digest.value) != digits or not _HEX.fullmatch(digest.value):
        raise Invalid(f"A {digest.algorithm} digest must have {digits} hexadecimal digits.")


def check_url(url: str) -> None:
    """Refuse a URL that cannot be stored.

    :raises Invalid: see above.
    """
    check_text("URL of the location", url)
    if len(url.encode(errors="replace")) > URL_BYTES:
        raise Invalid(f"The URL of a location is longer than {URL_BYTES} bytes.")


def check_metadata(metadata: Mapping[str, object]) -> None:
    """Refuse metadata with values other than strings, and objects and lists of strings.

    Glance fails with 500 on a number (images-api 3.5.4).

    :raises Invalid: see above.
    """
    waiting: list[object] = [metadata]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting.extend(cast("Mapping[str, object]", value).values())
        elif isinstance(value, list):
            waiting.extend(cast("list[object]", value))
        elif not isinstance(value, str):
            raise Invalid("The metadata of a location must be strings, or objects and lists of strings.")


class DigestClaims:
    """Compares the validation data of all locations in one PATCH with each other and with the image.

    ``known`` are ``checksum``, ``os_hash_algo`` and ``os_hash_value`` of the image, ``algorithm`` is the option
    ``hashing_algorithm``, ``digits`` the hex digits of its digests.
    """

    def __init__(self, known: Mapping[str, str | None], *, algorithm: str, digits: int, queued: bool) -> None:
        self._known = {name: text.lower() for name, text in known.items() if text}
        self._algorithm = algorithm
        self._digits = digits
        self._queued = queued
        #: attributes of the image that the claims set
        self.columns: dict[str, str] = {}

    def add(self, given: Mapping[str, Any]) -> None:
        """Add the validation data of one location, already validated against the schema.

        :raises Conflict: they contradict others or the image, come too late, or do not fit ``algorithm``.
        """
        claim = {name: str(text).lower() for name, text in given.items()}
        for name, text in claim.items():
            if self._known.get(name, text) != text:
                raise Conflict(f"The validation data contradict the image's {name}.")
        new = {name: text for name, text in claim.items() if name not in self._known}
        if not new:
            return
        if not self._queued:
            raise Conflict("Validation data are accepted only while the image is queued.")
        self._check_form(claim)
        self._known.update(new)
        self.columns.update(new)

    def _check_form(self, claim: Mapping[str, str]) -> None:
        if claim["os_hash_algo"] != self._algorithm:
            raise Conflict(f"The os_hash_algo of the validation data must be {self._algorithm}.")
        lengths: Sequence[tuple[str, int]] = (("os_hash_value", self._digits), ("checksum", 32))
        for name, digits in lengths:
            text = claim.get(name)
            if text is not None and (len(text) != digits or not _HEX.fullmatch(text)):
                raise Conflict(f"The value of {name} must have {digits} hexadecimal digits.")
