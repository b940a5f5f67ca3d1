"""How an API node reaches its registry."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import msgspec

SCHEME = "registry+https"
DEFAULT_PORT = 9191

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")


class RegistryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[glimpse] registry_…``. Times in seconds; the files are PEM."""

    #: the CA that signed the certificates of the registry's servers
    ca_file: Path | None = None
    #: this node's certificate, with its chain, and its key
    cert_file: Path | None = None
    key_file: Path | None = None
    #: for one call, everything included
    timeout: float = 30.0
    #: for one new connection, up to the first answer on it
    connect_timeout: float = 5.0
    #: connections to one server that each worker keeps open while they are idle
    pool_size: int = 8


class Address(NamedTuple):
    """Where a server of the registry listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_registry(url: str) -> bool:
    """Whether the URL of a database names a registry."""
    return url.partition("://")[0].lower() == SCHEME


def addresses(url: str) -> tuple[Address, ...]:
    """The servers of ``registry+https://host:port[,host:port…]``, in their order.

    :raises ValueError: the URL has another form.
    """
    rest = url.partition("://")[2].removesuffix("/")
    return tuple(dict.fromkeys(_address(part) for part in rest.split(",")))


def _address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    port = int((match and match["port"]) or DEFAULT_PORT)
    if match is None or not 0 < port < 65536:
        raise ValueError("no address of a server")
    return Address(match["v6"] or match["name"], port)
