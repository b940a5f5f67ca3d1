"""Which addresses a URL of a user may lead to (imports-and-stores 2.10, rows 6 and 7)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from glimpse.errors import Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: From a name to its addresses, an empty tuple when it has none.
Resolve = Callable[[str], tuple[Address, ...]]

HOSTS_FILE = Path("/etc/hosts")

_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
#: IPv6 addresses that stand for an IPv4 one in their last 32 bits: translation by the network (RFC 6052, RFC 8215),
#: and the old compatible form.
_WRAPPING = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))


def resolve_name(name: str) -> tuple[Address, ...]:
    """The addresses of a name that is taken as fully qualified: search domains of the host are not tried.

    The file of hosts comes before DNS, as is usual.

    :raises Unavailable: the name server cannot be asked now.
    """
    found = _in_hosts_file(name)
    if found:
        return found
    try:
        # the dot at the end is what keeps search domains out, and also names of the hosts file
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
            continue  # a line of the file of hosts, or a scope that an address of a user must not have
    return tuple(dict.fromkeys(found))


def canonical(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, else the address itself."""
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
    """Whether an address is refused unless its host is allowed by name: it leads into this host or its network,
    or to nobody in particular. Private networks are not among these (imports-and-stores 2.10).
    """
    real = canonical(address)
    if isinstance(real, ipaddress.IPv4Address):
        local = real in _THIS_NETWORK
    else:
        local = real.is_site_local or real.scope_id is not None
    return local or any(
        (real.is_loopback, real.is_link_local, real.is_unspecified, real.is_multicast, real.is_reserved)
    )
