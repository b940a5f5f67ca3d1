"""Fetches a user's URL: checks each hop, and connects to an address that was checked.

The rules resolve the name once; the connection is made to the address, with the name in ``Host`` and, for TLS, as the
expected name in the certificate. So changing the name's address between the check and the connection (DNS rebinding)
has no effect. A proxy is given the address, too.
"""

from __future__ import annotations

import base64
import logging
import ssl
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import httpcore2
import msgspec

from glimpse.errors import Invalid, Unavailable
from glimpse.fetch.address import Address
from glimpse.fetch.limited_connection import TooSlow, Watch, WatchedBackend
from glimpse.fetch.rules import DEFAULT_PORTS, Target, UrlRules

LOG = logging.getLogger(__name__)

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_FAILURES = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.ProxyError)


class RedirectRefused(Invalid):
    """A server redirects to a URL that the rules refuse, or redirects too often."""


class FetchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to fetch. Times in seconds: to connect to one address, without a byte of an answer, and for everything up to
    the head of the last answer, redirects and names included. ``least_rate``: bytes a second that a body must bring on
    average of ``rate_window`` seconds of waiting for it; 0: any.

    ``proxies`` are proxy URLs by the scheme of the fetched URL. ``ca_file`` has the trusted CA certificates; None means
    those of the system. ``verify``: whether certificates are verified.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    open_timeout: float = 30.0
    least_rate: float = 1024.0
    rate_window: float = 60.0
    redirects: int = 10
    proxies: Mapping[str, str] = {}
    verify: bool = True
    ca_file: str | None = None


class Fetched:
    """A response. Its body can be read once; ``with`` closes the connection."""

    def __init__(self, response: httpcore2.Response, pool: httpcore2.ConnectionPool) -> None:
        self._response = response
        self._pool = pool
        self.status = response.status
        #: the server's words for the status, without control characters and at most 80 of them
        self.reason = _printable(cast("dict[str, Any]", response.extensions).get("reason_phrase", b""))
        fields: dict[str, str] = {}
        for name, value in response.headers:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            fields[key] = f"{fields[key]}, {text}" if key in fields else text
        self.headers: Mapping[str, str] = fields

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives, without decoding.

        :raises Unavailable: the connection broke, timed out, or is slower than the minimum rate.
        """
        try:
            yield from self._response.iter_stream()
        except _FAILURES as error:
            raise Unavailable(f"The server closed the connection early: {_reason(error)}.") from error

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._response.close()
        self._pool.close()


class Fetcher:
    """Fetches URLs according to the rules. Every request has its own connection; none is shared between names."""

    def __init__(self, rules: UrlRules, options: FetchOptions) -> None:
        """:raises OSError: the CA file cannot be read."""
        self._rules = rules
        self._options = options
        self._ssl = _ssl_context(options)
        self._timeout = {
            "connect": options.connect_timeout, "read": options.read_timeout, "write": options.read_timeout,
        }  # fmt: skip

    def open(self, method: str, url: str, headers: Mapping[str, str] | None = None, *, stays: bool = False) -> Fetched:
        """Send a request without a body, follow redirects, and return the first response that is not a redirect.

        Credentials in ``url`` are sent only to its own origin. ``headers`` are sent to every server; if they have
        secrets, ``stays`` refuses redirects to another origin.

        :raises Invalid: the rules refuse ``url``.
        :raises RedirectRefused: they refuse a URL on the way, or there are too many, or one leaves the origin.
        :raises Unavailable: a server cannot be reached, does not speak HTTP, or takes longer than ``open_timeout``.
        """
        deadline = time.monotonic() + self._options.open_timeout
        target = self._rules.check(url)
        credentials, origin = target.credentials, target.origin
        # in messages, which never contain a host that the user did not give
        name = f"server {target.host}"
        for _ in range(self._options.redirects + 1):
            fields = dict(headers or {})
            if credentials is not None and target.origin == origin:
                fields["Authorization"] = _basic(credentials)
            answer = self._send(method, target, fields, deadline, name)
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                return answer
            answer.close()
            url = _next(target, answer.headers["location"])
            redirecting, name = target.host, "server of a redirect"
            try:
                target = self._rules.check(url)
            except Invalid as error:
                # the user need not know where it leads to
                LOG.info("A redirect by %s is refused: %s", redirecting, error)
                raise RedirectRefused("The server redirects to a URL that is not allowed.") from error
            except Unavailable as error:
                raise Unavailable("The server redirects to a host whose name cannot be resolved now.") from error
            if stays and target.origin != origin:
                raise RedirectRefused("The server redirects to another server, which must not get the credentials.")
        raise RedirectRefused(f"The server redirects more than {self._options.redirects} times.")

    def _send(self, method: str, target: Target, headers: Mapping[str, str], deadline: float, name: str) -> Fetched:
        failure: Exception | None = None
        for address in target.addresses:
            if time.monotonic() >= deadline:
                raise Unavailable(f"The {name} did not answer in time.") from failure
            try:
                return self._send_to(address, method, target, headers, deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            except _FAILURES as error:
                raise Unavailable(f"The {name} did not answer: {_reason(error)}.") from error
        raise Unavailable(f"The {name} cannot be reached.") from failure

    def _send_to(
        self, address: Address, method: str, target: Target, headers: Mapping[str, str], deadline: float
    ) -> Fetched:
        watch = Watch(deadline, self._options.least_rate, self._options.rate_window)
        # created for this request, and closed with it
        pool = self._pool(target.scheme, WatchedBackend(watch))
        url = httpcore2.URL(
            scheme=target.scheme.encode("ascii"),
            host=str(address).encode("ascii"),
            port=target.port,
            target=target.path.encode("ascii"),
        )
        request = httpcore2.Request(
            method,
            url,
            headers={"Host": _host_field(target), "Accept-Encoding": "identity", "User-Agent": "glimpse", **headers},
            extensions={"timeout": self._timeout, "sni_hostname": target.host},
        )
        try:
            answer = Fetched(pool.handle_request(request), pool)
        except BaseException:
            pool.close()
            raise
        watch.body()
        return answer

    def _pool(self, scheme: str, backend: WatchedBackend) -> httpcore2.ConnectionPool:
        proxy = self._proxy(scheme)
        if proxy is None:
            return httpcore2.ConnectionPool(ssl_context=self._ssl, network_backend=backend)
        parts = urlsplit(proxy)
        credentials = None
        if parts.username is not None:
            credentials = (unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or ""))
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return httpcore2.HTTPProxy(address, proxy_auth=credentials, ssl_context=self._ssl, network_backend=backend)

    def _proxy(self, scheme: str) -> str | None:
        proxy = self._options.proxies.get(scheme)
        return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _next(target: Target, location: str) -> str:
    port = "" if target.port == DEFAULT_PORTS[target.scheme] else f":{target.port}"
    return urljoin(f"{target.scheme}://{_bracketed(target.host)}{port}{target.path}", location)


def _host_field(target: Target) -> str:
    host = _bracketed(target.host)
    return host if target.port == DEFAULT_PORTS[target.scheme] else f"{host}:{target.port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(unquote_to_bytes(credentials)).decode("ascii")


def _printable(phrase: bytes) -> str:
    return "".join(one for one in phrase.decode("latin-1") if " " <= one <= "~")[:80]


def _ssl_context(options: FetchOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.ca_file)
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: Exception) -> str:
    """Describe a failure in a few words, because the library's text may contain addresses."""
    match error:
        case TooSlow():
            return "it sends too slowly"
        case httpcore2.TimeoutException():
            return "it sent nothing for too long"
        case _:
            return "the connection was lost"
