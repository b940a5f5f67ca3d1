"""Auth ``keystone``: tokens, validated by keystonemiddleware (images-api 5.1; ARCHITECTURE.md, Identity)."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Generic, TypeVar

import msgspec

from glimpse.auth.base import AuthSettingsError, Credentials, Identity
from glimpse.auth.keystone_tokens import Authtoken, KeystoneTokens, Shown
from glimpse.errors import Unauthenticated
from glimpse.settings.model import Secret, Sections

# ------------------------------------ Token cache of one process: identities for some seconds, and checks in progress

T = TypeVar("T")


class TokenCache:
    """Caches identities by digest until they expire. Thread-safe; reading never waits."""

    def __init__(self, most: int = 4096) -> None:
        """``most`` is the number of identities; the oldest is dropped first."""
        self._most = most
        self._known: dict[bytes, tuple[Identity, float]] = {}
        self._lock = threading.Lock()

    def get(self, digest: bytes) -> Identity | None:
        """Return the identity if it is cached and has not expired."""
        known = self._known.get(digest)
        return known[0] if known is not None and time.monotonic() < known[1] else None

    def has(self, digest: bytes) -> bool:
        """Tell whether the identity is in the cache, even if it has expired."""
        return digest in self._known

    def put(self, digest: bytes, identity: Identity, seconds: float) -> None:
        """Cache ``identity`` for ``seconds``, if that is more than 0."""
        if seconds <= 0:
            return
        with self._lock:
            # moves an existing entry to the end of the order
            self._known.pop(digest, None)
            self._known[digest] = (identity, time.monotonic() + seconds)
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]


class SingleFlight(Generic[T]):
    """Runs a piece of work once for all threads that request it at the same time."""

    def __init__(self) -> None:
        self._running: dict[object, Future[T]] = {}
        self._lock = threading.Lock()

    def run(self, key: object, work: Callable[[], T]) -> T:
        """Return or raise the result of ``work``, run here or in the thread that asked first."""
        mine: Future[T] = Future()
        with self._lock:
            running = self._running.setdefault(key, mine)
        if running is not mine:
            return running.result()
        try:
            result = work()
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            mine.set_result(result)
            return result
        finally:
            with self._lock:
                del self._running[key]


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
