"""The listening sockets: opened in the parent before any worker, and kept open when a worker dies."""

from __future__ import annotations

import errno
import socket
from typing import Any, TypeAlias

from glimpse.launcher.options import LaunchError

_Address: TypeAlias = tuple[Any, ...]

TCP_NOTSENT_LOWAT = 25  # Linux; the socket module has no name for it

#: Bytes that wait in the kernel for a client before the socket takes more, see ``TCP_NOTSENT_LOWAT``.
UNSENT_BYTES = 512 << 10

# A client that disappeared without closing the connection (power, cable, firewall) is detected after 60 + 4 * 15
# seconds; otherwise an upload would wait for its next byte forever. Accepted connections inherit these options from the
# listener.
_CONNECTION_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # Unsent data that the kernel buffers for a client. Without a limit this is some MiB for each client that does not
    # read; a lower limit causes more wake-ups in fast downloads.
    (socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES),
)

_REASONS = {
    errno.EADDRINUSE: "the port is in use",
    errno.EACCES: "permission denied",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def open_listeners(host: str, port: int, count: int, backlog: int, write_seconds: float = 120.0) -> list[socket.socket]:
    """Open `count` listening sockets on one address, among which the kernel spreads new connections.

    One socket for each worker, and not one for all: from a shared queue one worker takes a whole burst.

    The kernel closes a connection whose client reads nothing for `write_seconds`, with either server: granian itself
    never aborts a response of which it cannot write the next byte.

    :raises LaunchError: the host does not resolve, or the address is in use, not permitted, or not this machine's.
    """
    family, address = _resolve(host, port)
    listeners: list[socket.socket] = []
    try:
        # The first one listens before it gets SO_REUSEPORT. That fails when anybody else listens there, whatever their
        # options are; with SO_REUSEPORT from the start, two services could share a port and never know.
        first = _listen(family, address, backlog, write_seconds, shared=False)
        listeners.append(first)
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(count > 1))
        address_taken = first.getsockname()
        listeners.extend(_listen(family, address_taken, backlog, write_seconds, shared=True) for _ in range(count - 1))
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise _cannot_listen(address, error) from error
    return listeners


def _cannot_listen(address: _Address, error: OSError) -> LaunchError:
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return LaunchError(f"Cannot listen on {describe(address)}: {reason}.")


def require_address(host: str, port: int) -> None:
    """Check that :func:`open_listeners` can bind this address, without listening on it.

    :raises LaunchError: as there.
    """
    family, address = _resolve(host, port)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise _cannot_listen(address, error) from error


def describe(address: _Address) -> str:
    """Return host:port of a socket address, with an IPv6 host in brackets."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolve(host: str, port: int) -> tuple[int, _Address]:
    """Return the address family and the address; the first one when the name has several."""
    name = host or "0.0.0.0"  # noqa: S104 - every address, as the options say
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise LaunchError(f"Cannot listen on {name}:{port}: the host name does not resolve.") from error
    family, _, _, _, address = found[0]
    return family, address


def _listen(family: int, address: _Address, backlog: int, write_seconds: float, *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of the previous run in TIME_WAIT must not delay a restart by a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        for level, option, value in _CONNECTION_OPTIONS:
            listener.setsockopt(level, option, value)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(write_seconds * 1000))
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener
