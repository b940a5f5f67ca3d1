"""Requests to the Block Storage API 3.54, and what its answers mean for a store."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpcore2
import msgspec

from glimpse.errors import AccessDenied, DataNotFound, Refused, StoreFull, StoreUnavailable
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.cinder.credentials import Access, Credentials
from glimpse.stores.cinder.options import CinderOptions

LOG = logging.getLogger(__name__)

#: The attachment API with modes (store-formats 9.3).
MICROVERSION = "volume 3.54"

_NOT_CONNECTED = (httpcore2.ConnectError, httpcore2.ConnectTimeout)
_FAILURES = (
    httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError,
)  # fmt: skip
#: Seconds before the first repetition; the pause doubles.
_PAUSE = 0.2
#: Largest number of connections to Cinder in a worker.
_CONNECTIONS = 16


class Rejected(Refused):
    """Cinder rejects a request because of the state of a volume (400 or 409); the message is Cinder's."""


class CinderApi:
    """Sends requests in the name of an :class:`Access`. Thread-safe; opens connections at the first request."""

    def __init__(self, store_id: str, options: CinderOptions, credentials: Credentials) -> None:
        """:raises StoreMisconfigured: the file of certificates cannot be read."""
        self.store_id = store_id
        self._options = options
        self._credentials = credentials
        self._timeout = {kind: float(options.cinder_store_timeout) for kind in ("connect", "read", "write", "pool")}
        self._timeout["connect"] = min(10.0, self._timeout["connect"])
        certificates = options.cinder_ca_certificates_file
        if certificates and not Path(certificates).is_file():
            raise StoreMisconfigured(store_id, f"cinder_ca_certificates_file {certificates} is not a file")

    def get(self, access: Access, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the body of a GET.

        :raises DataNotFound: Cinder answers 404.
        :raises AccessDenied: it refuses the token or the operation.
        :raises StoreUnavailable: it does not work.
        """
        return self.call(access, "GET", f"{path}?{urlencode(query)}" if query else path)

    def call(self, access: Access, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a request and return the JSON object in the answer; empty if the answer has no body.

        :raises Rejected: Cinder answers 400 or 409.
        :raises StoreFull: a quota or the space of the backend is used up.
        :raises DataNotFound: it answers 404.
        :raises AccessDenied: it refuses the token or the operation.
        :raises StoreUnavailable: it does not work.
        """
        status, content = self._sent(access, method, path, body)
        if status == 401 and access.own:
            self._credentials.renew()
            status, content = self._sent(self._credentials.access(), method, path, body)
        if status < 300:
            return _decoded(content)
        raise self._error(status, content)

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        pool = self.__dict__.pop("_pool", None)
        if pool is not None:
            pool.close()

    def _sent(self, access: Access, method: str, path: str, body: object) -> tuple[int, bytes]:
        headers: dict[bytes | str, bytes | str] = {
            "X-Auth-Token": str(access.token),
            "OpenStack-API-Version": MICROVERSION,
            "Accept": "application/json",
            "User-Agent": "glimpse",
        }
        content = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(body)
        started = time.monotonic()
        for attempt in range(self._options.cinder_http_retries + 1):
            try:
                answer = self._pool.request(
                    method, access.endpoint + path, headers=headers, content=content,
                    extensions={"timeout": self._timeout},
                )  # fmt: skip
            except _FAILURES as error:
                repeatable = isinstance(error, _NOT_CONNECTED) or (
                    method == "GET" and not isinstance(error, httpcore2.TimeoutException)
                )
                late = time.monotonic() - started > self._options.cinder_store_timeout / 2
                if late or not repeatable or attempt == self._options.cinder_http_retries:
                    raise StoreUnavailable(f"Store {self.store_id}: Cinder does not answer.") from error
                time.sleep(_PAUSE * 2**attempt)
            except (httpcore2.UnsupportedProtocol, httpcore2.LocalProtocolError, UnicodeError) as error:
                raise AccessDenied(f"Store {self.store_id}: the URL of Cinder is not valid.") from error
            else:
                return answer.status, answer.content
        raise AssertionError("the last repetition returns or raises")

    @cached_property
    def _pool(self) -> httpcore2.ConnectionPool:
        options = self._options
        try:
            context = ssl.create_default_context(cafile=options.cinder_ca_certificates_file or None)
        except (OSError, ssl.SSLError) as error:
            raise StoreUnavailable(f"Store {self.store_id} cannot use its cinder_ca_certificates_file.") from error
        if options.cinder_api_insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return httpcore2.ConnectionPool(ssl_context=context, max_connections=_CONNECTIONS, keepalive_expiry=10.0)

    def _error(self, status: int, content: bytes) -> Exception:
        text = f"Store {self.store_id}: Cinder says: {_message(content)}"
        match status:
            case 401 | 403:
                return AccessDenied(text)
            case 404:
                return DataNotFound(text)
            case 413:
                return StoreFull(text)
            case 400 | 409:
                return Rejected(text)
            case _ if status >= 500 or status in {408, 429}:
                LOG.warning("Store %s: Cinder answers %d: %s", self.store_id, status, _message(content))
                return StoreUnavailable(f"Store {self.store_id}: Cinder answers {status}.")
            case _:
                return AccessDenied(text)


def _decoded(content: bytes) -> dict[str, Any]:
    if not content:
        return {}
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise StoreUnavailable("Cinder sent something that is not JSON.") from error


def _message(content: bytes) -> str:
    """Return the message of an error, which is the only value of an object or an HTML page of a proxy."""
    try:
        faults = msgspec.json.decode(content, type=dict[str, dict[str, Any]])
    except msgspec.MsgspecError:
        return "(no message)"
    return " ".join(str(fault.get("message", "")) for fault in faults.values())[:500] or "(no message)"
