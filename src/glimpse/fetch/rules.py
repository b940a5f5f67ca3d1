"""The operator's rules for URLs from users: ``[import_filtering_opts]`` (imports-and-stores 2.10)."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

import msgspec

from glimpse.errors import Invalid
from glimpse.fetch.address import Address, Resolve, canonical, is_refused, resolve_name
from glimpse.settings.model import UriFilter

DEFAULT_PORTS = {"http": 80, "https": 443}

#: No other characters are allowed in a URL, because parsers treat them differently.
_URL = re.compile(r"[!#-;=?-\[\]_a-z~]+", re.IGNORECASE)
_NAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
#: The last label of a host that some parsers read as a number.
_NUMERIC = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")


class Target(msgspec.Struct, frozen=True):
    """The parts of an allowed URL, and the allowed addresses in the order to try.

    ``path`` includes the query. ``credentials`` are from the URL, as ``user:password``.
    """

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[Address, ...]
    credentials: str | None = None

    @property
    def origin(self) -> tuple[str, str, int]:
        """The origin, which decides whether a redirect gets the credentials."""
        return (self.scheme, self.host, self.port)


class UrlRules:
    """Checks URLs. Nothing is cached between calls, because the addresses of names may change."""

    def __init__(self, settings: UriFilter, resolve: Resolve = resolve_name) -> None:
        self._schemes = _Lists(settings.allowed_schemes, settings.disallowed_schemes)
        self._hosts = _Lists(settings.allowed_hosts, settings.disallowed_hosts)
        self._ports = _Lists(settings.allowed_ports, settings.disallowed_ports)
        self._denied = frozenset(canonical(one) for one in map(_as_address, self._hosts.denied) if one is not None)
        self._resolve = resolve

    def check(self, url: str) -> Target:
        """Check ``url`` and return the allowed target; its name is resolved here, once.

        :raises Invalid: the URL is not allowed; the message names the rule, but no address.
        :raises Unavailable: the host name cannot be resolved at the moment.
        """
        parts = _split(url)
        scheme = parts.scheme
        if not self._schemes.admit(scheme) or scheme not in DEFAULT_PORTS:
            raise Invalid(f"URLs with the scheme {scheme!r} are not allowed.")
        host = _host(parts)
        if not self._hosts.admit(host):
            raise Invalid(f"URLs with the host {host!r} are not allowed.")
        port = _port(parts)
        if port is not None and not self._ports.admit(str(port)):
            raise Invalid(f"URLs with the port {port} are not allowed.")
        credentials = parts.netloc.rpartition("@")[0]
        return Target(
            scheme=scheme,
            host=host,
            port=port or DEFAULT_PORTS[scheme],
            path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            addresses=self._addresses(host),
            credentials=credentials or None,
        )

    def _addresses(self, host: str) -> tuple[Address, ...]:
        literal = _as_address(host)
        found = self._resolve(host) if literal is None else (literal,)
        if not found:
            raise Invalid(f"The host {host!r} of the URL has no address.")
        if host not in self._hosts.allowed:
            found = tuple(one for one in found if not is_refused(one) and canonical(one) not in self._denied)
        if not found:
            raise Invalid(f"The host {host!r} of the URL has no allowed address.")
        return found


class _Lists:
    """A list of allowed values; if it is empty, a list of denied ones."""

    def __init__(self, allowed: tuple[str, ...], denied: tuple[str, ...]) -> None:
        self.allowed = frozenset(map(_normal, allowed))
        self.denied: frozenset[str] = frozenset() if allowed else frozenset(map(_normal, denied))

    def admit(self, value: str) -> bool:
        return value in self.allowed if self.allowed else value not in self.denied


def _normal(entry: str) -> str:
    """Normalise an entry for comparing hosts: lower case, addresses in canonical form."""
    text = entry.strip().lower().rstrip(".")
    address = _as_address(text.strip("[]"))
    return text if address is None else str(canonical(address))


def _as_address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _split(url: str) -> SplitResult:
    if not _URL.fullmatch(url):
        raise Invalid("The URL contains characters that must be percent-encoded.")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Invalid("The URL is malformed.") from None
    if not parts.scheme or not parts.hostname:
        raise Invalid("The URL must have a scheme and a host.")
    return parts


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    bracketed = "[" in parts.netloc
    host = host.removesuffix(".") if not bracketed else host
    address = _as_address(host)
    if address is not None:
        if isinstance(address, ipaddress.IPv6Address) != bracketed or "%" in host:
            raise Invalid("The IP address in the URL is not in the usual form.")
        return str(canonical(address))
    if bracketed or _NUMERIC.fullmatch(host) or not _NAME.fullmatch(host):
        raise Invalid("The host in the URL is neither a host name nor an IP address in its usual form.")
    return host


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        raise Invalid("The port of the URL is not a number from 1 to 65535.") from None
    if port == 0:
        raise Invalid("The port of the URL is not a number from 1 to 65535.")
    return port
