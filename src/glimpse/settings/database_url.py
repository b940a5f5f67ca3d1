"""Database URLs: URLs of registries, and masking of secrets.

For masking in settings and log lines see ARCHITECTURE.md, Data safety, rule 7.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SCHEME = "registry+https"
DEFAULT_PORT = 9191

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")


class Address(NamedTuple):
    """The address of a registry server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_registry(url: str) -> bool:
    """Tell whether a database URL refers to a registry."""
    return url.partition("://")[0].lower() == SCHEME


def addresses(url: str) -> tuple[Address, ...]:
    """Return the servers of ``registry+https://host:port[,host:port…]`` in order.

    :raises ValueError: the URL has another form.
    """
    rest = url.partition("://")[2].removesuffix("/")
    return tuple(dict.fromkeys(_address(part) for part in rest.split(",")))


def _address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    port = int((match and match["port"]) or DEFAULT_PORT)
    if match is None or not 0 < port < 65536:
        raise ValueError("there is no server address")
    return Address(match["v6"] or match["name"], port)


MASK = "***"

#: Query arguments of database URLs that are not secret.
_PLAIN_ARGUMENTS = frozenset(
    {
        "charset", "ssl_ca", "ssl_mode", "sslmode", "sslrootcert", "connect_timeout", "timeout", "application_name",
        "target_session_attrs", "options", "unix_socket", "read_timeout", "write_timeout", "ssl_verify_cert",
        "ssl_verify_identity", "ssl_disabled", "ssl_check_hostname", "prepare_threshold", "keepalives",
        "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
    }
)  # fmt: skip
#: Arguments shown with a masked value; all others, which may be part of a password, are not shown at all.
_SECRET_ARGUMENTS = frozenset(
    {"user", "password", "passfile", "sslkey", "sslcert", "sslpassword", "ssl_key", "ssl_cert"}
)
_HOST_AND_PORT = re.compile(r"[^:]*(:\d*)?|\[[0-9a-fA-F:.]*\](:\d*)?")


def masked_url(url: str) -> str:
    """Return ``url`` without its password and possibly secret query arguments; user, host and path remain.

    Everything from the first colon after the scheme to the last ``@`` counts as the password, so that an unquoted
    password is masked completely; if an ``@`` follows a question mark, everything is masked.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return MASK
    user_info, at, host = rest.rpartition("@")
    place, question, query = host.partition("?")
    hosts = place.partition("/")[0]
    named = [hosts] if at or not is_registry(url) else hosts.split(",")
    unclear = "?" in user_info or not (at or all(map(_HOST_AND_PORT.fullmatch, named)))
    if unclear:
        return f"{scheme}://{MASK}"
    user, colon, _ = user_info.partition(":")
    shown_user = f"{user}{':' + MASK if colon else ''}{at}"
    return f"{scheme}://{shown_user}{place}{question}{_masked_query(query)}"


def _masked_query(query: str) -> str:
    return "&".join(_masked_argument(argument) for argument in query.split("&")) if query else ""


def _masked_argument(argument: str) -> str:
    name = argument.partition("=")[0]
    if name in _PLAIN_ARGUMENTS:
        return argument
    return f"{name}={MASK}" if name in _SECRET_ARGUMENTS else MASK
