"""Auth ``headers``: a proxy in front authenticates callers and passes the identity in headers (images-api 5.1)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from glimpse.auth.base import AuthSettingsError, Credentials, Identity
from glimpse.errors import Unauthenticated
from glimpse.service_catalog import ServiceCatalog
from glimpse.settings.model import Secret

MAX_ID = 255
MAX_ROLES = 16384
MAX_CATALOG = 1 << 18

_STATUS = "x-identity-status"
_PROJECT = ("x-project-id", "x-tenant-id", "x-tenant")
_CATALOG = "x-service-catalog"
#: All fields that are read, besides the token.
IDENTITY_FIELDS = frozenset(
    {_STATUS, _CATALOG, *_PROJECT, "x-user-id", "x-roles", "x-service-roles", "x-domain-id", "openstack-system-scope"}
)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class HeaderAuth:
    """Accepts identity headers of requests that come directly from a trusted network, and refuses all others."""

    constant: Identity | None = None

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        """``trusted_proxies`` are networks (CIDR) or addresses.

        :raises AuthSettingsError: one of them is neither.
        """
        self._networks = tuple(_network(text) for text in trusted_proxies)
        self._trusts = lru_cache(maxsize=1024)(self._is_trusted)

    @property
    def challenge(self) -> str | None:
        """None: asking for credentials is the proxy's task."""
        return None

    def recall(self, credentials: Credentials) -> Identity:
        """Return the identity in the headers.

        :raises Unauthenticated: the connection is from an untrusted address, or the headers confirm no identity.
        """
        if credentials.peer is None or not self._trusts(credentials.peer):
            raise Unauthenticated("Requests are accepted only from the authenticating proxy.")
        found = _identity_headers(credentials)
        if found.get(_STATUS) != "Confirmed":
            raise Unauthenticated("The authenticating proxy did not confirm an identity.")
        project_id = next((found[name] for name in _PROJECT if found.get(name)), None)
        return Identity(
            user_id=found.get("x-user-id") or None,
            project_id=project_id,
            roles=_roles(found.get("x-roles")),
            service_roles=_roles(found.get("x-service-roles")),
            domain_id=found.get("x-domain-id") or None,
            system_scope=found.get("openstack-system-scope") or None,
            token=_token(credentials),
            catalog=_catalog(found.get(_CATALOG)),
        )

    def seen(self, credentials: Credentials) -> bool:  # noqa: ARG002 - the protocol's signature
        """Always true: there is nothing to verify."""
        return False

    def verify(self, credentials: Credentials) -> Identity:
        """Return the same as :meth:`recall`."""
        return self.recall(credentials)

    def _is_trusted(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any(address in network or (mapped is not None and mapped in network) for network in self._networks)


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError as error:
        raise AuthSettingsError(f"trusted_proxies: {error}") from error


def _identity_headers(credentials: Credentials) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in credentials.headers.items():
        lowered = name.lower()
        if lowered in IDENTITY_FIELDS:
            # Detect a proxy that adds its header to the client's instead of replacing it.
            if lowered in found:
                raise Unauthenticated(f"The request has the header {lowered} more than once.")
            found[lowered] = _text(lowered, value)
    return found


def _text(name: str, value: str) -> str:
    """Return the value of one header as UTF-8; HTTP servers pass header values as Latin-1."""
    try:
        text = value.strip() if value.isascii() else value.encode("latin-1").decode("utf-8").strip()
    except UnicodeError as error:
        raise Unauthenticated(f"The header {name} is not UTF-8 text.") from error
    names_id = not name.endswith("roles") and name != _CATALOG
    # columns for ids cannot store characters outside the BMP
    storable = not names_id or max(text, default="") <= "\uffff"
    longest = MAX_ID if names_id else MAX_CATALOG if name == _CATALOG else MAX_ROLES
    if not text.isprintable() or not storable or len(text) > longest:
        raise Unauthenticated(f"The header {name} is too long or contains forbidden characters.")
    return text


def _token(credentials: Credentials) -> Secret | None:
    """Return the token with which stores act for the caller; the proxy has confirmed the identity, not the token."""
    text = (credentials.headers.get("x-auth-token") or "").strip()
    return Secret(text) if text and text.isascii() and text.isprintable() else None


@lru_cache(maxsize=256)
def _catalog(text: str | None) -> ServiceCatalog | None:
    """:raises Unauthenticated: the header is not a service catalog."""
    if not text:
        return None
    try:
        return ServiceCatalog(msgspec.json.decode(text))
    except (ValueError, msgspec.DecodeError) as error:
        raise Unauthenticated("The header x-service-catalog is malformed.") from error


def _roles(text: str | None) -> frozenset[str]:
    return frozenset(role.strip().lower() for role in text.split(",") if role.strip()) if text else frozenset()
