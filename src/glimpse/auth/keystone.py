"""Auth ``keystone``: tokens, validated by keystonemiddleware (images-api 5.1; ARCHITECTURE.md, Identity)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import msgspec

from glimpse.auth.base import Credentials, Identity
from glimpse.auth.errors import AuthSettingsError
from glimpse.auth.keystone_cache import SingleFlight, TokenCache
from glimpse.auth.keystone_options import Authtoken
from glimpse.auth.keystone_tokens import KeystoneTokens, Shown
from glimpse.errors import Unauthenticated
from glimpse.settings.model import Secret, Sections

#: Visible ASCII: includes all token formats, and nothing that could end a header on the way to Keystone.
_TOKEN = re.compile(r"[!-~]{1,16384}")


class KeystoneAuth:
    """Validates tokens in ``X-Auth-Token`` or ``X-Storage-Token``, and service tokens in ``X-Service-Token``.

    A valid token is cached for some seconds, at most until it expires. A revoked token keeps working for this time, and
    for the time that keystonemiddleware's own cache adds.
    """

    constant: Identity | None = None

    def __init__(self, sections: Sections, cache_time: float = 10.0) -> None:
        """``sections`` are ``[keystone_authtoken]`` and the like as text; ``cache_time`` in seconds.

        :raises AuthUnavailable: keystonemiddleware is not installed.
        :raises AuthSettingsError: an option is invalid.
        """
        options = Authtoken(sections)
        uri = options.public_uri
        if uri is None:
            raise AuthSettingsError.of_option("keystone_authtoken", "www_authenticate_uri", "must be set")
        self.challenge: str | None = f'Keystone uri="{uri}"'
        theirs: int = options.own.token_cache_time
        # in that option 0 means forever, and a negative value never
        self._cache_time = 0.0 if theirs < 0 else min(cache_time, theirs or cache_time)
        self._tokens = KeystoneTokens(options)
        self._memory = TokenCache()
        self._flights: SingleFlight[Identity] = SingleFlight()

    def recall(self, credentials: Credentials) -> Identity | None:
        """Return the identity of cached tokens, else None.

        :raises Unauthenticated: the token is missing or malformed.
        """
        token, service_token = _tokens_in(credentials.headers)
        identity = self._memory.get(_digest(token, service_token))
        return None if identity is None else _with_token(identity, token)

    def seen(self, credentials: Credentials) -> bool:
        """Tell whether Keystone has confirmed these tokens before; its middleware may still have them cached."""
        return self._memory.has(_digest(*_tokens_in(credentials.headers)))

    def verify(self, credentials: Credentials) -> Identity:
        """Validate the tokens and return the identity.

        :raises Unauthenticated: the token is not valid, or not for this request.
        :raises Unavailable: Keystone does not answer.
        """
        token, service_token = _tokens_in(credentials.headers)
        digest = _digest(token, service_token)
        method, path = credentials.method, credentials.path
        shown = Shown(token, service_token, method, path)
        # by method and path too: a token with access rules may be valid for this request only
        identity = self._flights.run((digest, method, path), lambda: self._check(digest, shown))
        return _with_token(identity, token)

    def _check(self, digest: bytes, shown: Shown) -> Identity:
        identity = self._memory.get(digest)
        if identity is not None:
            return identity
        vouched = self._tokens.check(shown)
        if not vouched.restricted:
            self._memory.put(digest, vouched.identity, min(self._cache_time, vouched.seconds_left()))
        return vouched.identity


def _tokens_in(headers: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the caller's token, and the token of a service that acts for the caller."""
    token = (headers.get("x-auth-token") or headers.get("x-storage-token") or "").strip()
    if not token:
        raise Unauthenticated("A token is required.")
    if _TOKEN.fullmatch(token) is None:
        raise Unauthenticated("The token is malformed.")
    service = (headers.get("x-service-token") or "").strip()
    return token, service if _TOKEN.fullmatch(service) else None


def _with_token(identity: Identity, token: str) -> Identity:
    """Add the token to a cached identity: the cache stores only digests."""
    return msgspec.structs.replace(identity, token=Secret(token))


def _digest(token: str, service_token: str | None) -> bytes:
    # tokens contain no line feed
    return hashlib.sha256(f"{token}\n{service_token or ''}".encode()).digest()
