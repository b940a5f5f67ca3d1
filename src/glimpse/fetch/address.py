"""Addresses to which a user's URL may lead (imports-and-stores 2.10, rows 6 and 7)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from glimpse.errors import Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Resolves a name to its addresses; an empty tuple if it has none.
Resolve = Callable[[str], tuple[Address, ...]]

HOSTS_FILE = Path("/etc/hosts")

_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
#: IPv6 addresses that stand for an IPv4 one in their last 32 bits: translation by the network (RFC 6052, RFC 8215),
#: and the old compatible form.
_WRAPPING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))


def resolve_name(name: str) -> tuple[Address, ...]:
    """Resolve a name as fully qualified, without the host's search domains.

    The hosts file comes before DNS, as usual.

    :raises Unavailable: the name server is not available.
    """
    found = _in_hosts_file(name)
    if found:
        return found
    try:
        # the trailing dot excludes search domains, and also names in the hosts file
        answers = socket.getaddrinfo(f"{name}.", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
            raise Unavailable(f"The host name {name!r} cannot be resolved now: no name server answers.") from error
        return ()
    return _addresses(str(answer[4][0]) for answer in answers)


def _in_hosts_file(name: str) -> tuple[Address, ...]:
    try:
        lines = HOSTS_FILE.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    words = (line.partition("#")[0].split() for line in lines)
    return _addresses(line[0] for line in words if name in (word.lower() for word in line[1:]))


def _addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    found: list[Address] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_address(text))
        except ValueError:
            continue  # a line of the hosts file, or a scope that a user's address must not have
    return tuple(dict.fromkeys(found))


def canonical(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address represents, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _WRAPPING) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_refused(address: Address) -> bool:
    """Tell whether an address is refused unless its host is allowed by name: loopback, link-local, multicast and
    reserved addresses, but not private networks (imports-and-stores 2.10).
    """
    real = canonical(address)
    if isinstance(real, ipaddress.IPv4Address):
        local = real in _THIS_NETWORK
    else:
        local = real.is_site_local or real.scope_id is not None
    return local or any(
        (real.is_loopback, real.is_link_local, real.is_unspecified, real.is_multicast, real.is_reserved)
    )
