"""Requests to one account of Swift, with a token that is renewed before it expires and when Swift refuses it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from glimpse.errors import AccessDenied, DataNotFound, StoreUnavailable
from glimpse.stores.base import Bytes
from glimpse.stores.connections import Answer, ConnectionFailed, Connections, Interruption, Stream
from glimpse.stores.swift.answers import failure, passes, unreachable
from glimpse.stores.swift.login import Grant, Login

#: Seconds before the first repetition of a request; each further pause is twice as long.
_FIRST_PAUSE = 0.2
#: How often a request is sent at most.
_TRIES = 4
_NO_HEADERS: Mapping[str, str] = {}


class Entry(msgspec.Struct, frozen=True):
    """One object in the listing of a container; ``last_modified`` as Swift writes it, without a time zone."""

    name: str
    bytes: int
    last_modified: str


class Account:
    """One account. Thread-safe; the first request logs in.

    A request is repeated with a new token if Swift does not accept the current one.
    """

    def __init__(self, store_id: str, login: Login, connections: Connections, expire_soon: float) -> None:
        """A token is renewed ``expire_soon`` seconds before it expires."""
        self.store_id = store_id
        self._login = login
        self._connections = connections
        self._expire_soon = expire_soon
        self._lock = Lock()
        self._grant: Grant | None = None
        self._kept: dict[str, tuple[float, Any]] = {}

    @property
    def storage_url(self) -> str:
        """The URL of the account; logs in if necessary."""
        return self.grant().storage_url

    def grant(self, refused: Grant | None = None) -> Grant:
        """Return a token that is valid for some time; a new one instead of the ``refused``.

        :raises AccessDenied: the credentials are not valid.
        :raises StoreUnavailable: the identity service does not work.
        """
        current = self._grant
        if current is not None and current is not refused and not self._expires_soon(current):
            return current
        with self._lock:
            # another thread may have renewed it in the meantime
            current = self._grant
            if current is None or current is refused or self._expires_soon(current):
                current = self._grant = self._login()
            return current

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: Bytes = b"",
        query: str = "",
        interruption: Interruption | None = None,
    ) -> Answer:
        """Send a request for ``path`` below the storage URL, quoted; return the answer whatever its status.

        :raises AccessDenied: the credentials are not valid.
        :raises StoreUnavailable: Swift or Keystone does not answer.
        """
        with self.open(method, path, headers, body, query, interruption) as stream:
            try:
                return stream.whole()
            except ConnectionFailed as error:
                raise unreachable(self.store_id, error) from error

    def open(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: Bytes = b"",
        query: str = "",
        interruption: Interruption | None = None,
    ) -> Stream:
        """As :meth:`request`; return the answer when its head has arrived."""
        grant = self.grant()
        for last in (False, True):
            url = f"{grant.storage_url}{path}{query and '?' + query}"
            try:
                fields = {"X-Auth-Token": grant.token, **headers}
                stream = self._connections.open(method, url, fields, body, interruption=interruption)
            except ConnectionFailed as error:
                raise unreachable(self.store_id, error) from error
            if stream.status != 401 or last:
                break
            stream.close()
            grant = self.grant(refused=grant)
        return stream

    def persist(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: Bytes = b"",
        query: str = "",
        interruption: Interruption | None = None,
    ) -> Answer:
        """As :meth:`request`, but repeat the request while it fails for a passing reason, a few times and for as long
        as one answer may take.
        """
        end = time.monotonic() + self._connections.limits.answer
        for number in range(_TRIES):
            pause = _FIRST_PAUSE * 2**number
            late = number == _TRIES - 1 or time.monotonic() + pause > end
            try:
                answer = self.request(method, path, headers, body, query, interruption)
            except StoreUnavailable:
                if late or (interruption is not None and interruption.interrupted):
                    raise
            else:
                if late or not passes(answer.status):
                    return answer
            time.sleep(pause)
        raise AssertionError

    def head(self, path: str, *, newest: bool = False) -> Mapping[str, str] | None:
        """Return the header fields of an object or container; None if it does not exist.

        ``newest`` asks all replicas of an object.
        """
        answer = self.request("HEAD", path, {"X-Newest": "true"} if newest else _NO_HEADERS)
        if answer.status == 404:
            return None
        if not 200 <= answer.status < 300:
            raise failure(self.store_id, answer)
        return answer.headers

    def listing(self, container: str, prefix: str = "") -> Iterator[Entry]:
        """Yield the objects of a container whose names begin with ``prefix``, in the order of names; nothing
        if the container does not exist.
        """
        marker = ""
        while page := self._page(f"/{quote(container, safe='')}", prefix, marker):
            yield from page
            marker = page[-1].name

    def containers(self, prefix: str) -> Iterator[str]:
        """Yield the names of the containers that begin with ``prefix``."""
        marker = ""
        while page := self._names(prefix, marker):
            yield from page
            marker = page[-1]

    def capabilities(self) -> Mapping[str, Any]:
        """Return the cluster's ``/info``; empty if the cluster does not serve it. Remembered for some minutes."""
        return self._remembered("info", self._info)

    def key_of_temporary_urls(self) -> str | None:
        """Return the key that signs temporary URLs; None if the account has no key. Remembered for some minutes."""
        return self._remembered("key", self._key)

    def _remembered(self, name: str, find: Any) -> Any:
        kept = self._kept.get(name)
        if kept is None or kept[0] < time.monotonic():
            kept = self._kept[name] = (time.monotonic() + 300, find())
        return kept[1]

    def _info(self) -> dict[str, Any]:
        base = self.storage_url
        scheme, _, rest = base.partition("://")
        try:
            answer = self._connections.request("GET", f"{scheme}://{rest.partition('/')[0]}/info", {})
        except ConnectionFailed as error:
            raise unreachable(self.store_id, error) from error
        if passes(answer.status):
            raise failure(self.store_id, answer)
        try:
            return msgspec.json.decode(answer.body, type=dict[str, Any]) if answer.status == 200 else {}
        except msgspec.DecodeError:
            return {}

    def _key(self) -> str | None:
        headers = self.head("") or {}
        return headers.get("x-account-meta-temp-url-key") or headers.get("x-account-meta-temp-url-key-2")

    def _page(self, path: str, prefix: str, marker: str) -> list[Entry]:
        return self._decoded(path, prefix, marker, list[Entry])

    def _names(self, prefix: str, marker: str) -> list[str]:
        return [found["name"] for found in self._decoded("", prefix, marker, list[dict[str, Any]])]

    def _decoded(self, path: str, prefix: str, marker: str, kind: Any) -> Any:
        query = urlencode({"format": "json", "prefix": prefix, "marker": marker})
        answer = self.request("GET", path, query=query)
        if answer.status == 404:
            return []
        if answer.status not in {200, 204}:
            error = failure(self.store_id, answer)
            raise AccessDenied(str(error)) if isinstance(error, DataNotFound) else error
        try:
            return msgspec.json.decode(answer.body or b"[]", type=kind)
        except msgspec.DecodeError as error:
            raise StoreUnavailable(f"Store {self.store_id} is not working: Swift sends no valid listing.") from error

    def _expires_soon(self, grant: Grant) -> bool:
        return grant.expires_at - time.time() <= self._expire_soon
