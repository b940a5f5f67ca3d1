"""The limit on open descriptors (RLIMIT_NOFILE): raises it, and computes how many connections it allows."""

from __future__ import annotations

import array
import fcntl
import logging
import os
import resource
import socket
import stat
import struct
import termios
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

LOG = logging.getLogger(__name__)

#: Highest limit that is set: programs that we run may close every descriptor up to the limit.
MOST_DESCRIPTORS = 65536
#: Descriptors of a worker besides two for each connection (the connection itself, and its file or backend).
SPARE_DESCRIPTORS = 128


def raise_soft_limit() -> int:
    """Raise the soft limit of this process to the hard one, at most to 65,536, and return the new soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_DESCRIPTORS
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


def affordable_connections(wanted: int) -> int:
    """Return how many connections the limit allows for a worker, at most ``wanted``.

    Raises the soft limit, and logs a WARNING if even the hard one is too low. A granian worker that runs out of
    descriptors spins in accept() and serves no requests, so it must stop accepting earlier.
    """
    limit = raise_soft_limit()
    possible = max(1, (limit - SPARE_DESCRIPTORS) // 2)
    if possible >= wanted:
        return wanted
    LOG.warning(
        "The limit on open files (RLIMIT_NOFILE) is %d, which allows %d connections per worker instead of %d. Raise "
        "the hard limit to %d (systemd: LimitNOFILE=).",
        limit,
        possible,
        wanted,
        2 * wanted + SPARE_DESCRIPTORS,
    )
    return possible


# --------------------------------------------- The accepted TCP connections of this process, as the kernel knows them
# The HTTP servers do not tell which connections they have (granian accepts them outside of Python), so this
# searches the descriptors of the process. Linux only.

#: Host and port. IPv4 addresses of an IPv6 socket are written as IPv4, and zones are left out.
Peer: TypeAlias = tuple[str, int]

_DESCRIPTORS = "/proc/self/fd"
#: Descriptors among which one connection is searched; each takes some microseconds.
_MOST_SEARCHED = 1024

# Offsets in struct tcp_info: milliseconds since data were last sent and last received; for a connection that had none,
# since it was opened. Part of the kernel's interface to programs, which never changes.
_LAST_SENT = 44
_LAST_RECEIVED = 52
_INFO_BYTES = 60


@dataclass(slots=True)
class OpenConnection:
    """One accepted connection, with a duplicated descriptor.

    ``quiet_seconds``: time without data in either direction. ``waiting``: bytes received but not yet read by the
    server, or sent but not yet read by the client.
    """

    peer: Peer
    quiet_seconds: float
    waiting: int
    descriptor: socket.socket

    def shut(self) -> None:
        """Shut down the connection; its server sees the end of file and closes it."""
        with suppress(OSError):
            self.descriptor.shutdown(socket.SHUT_RDWR)


def count_descriptors() -> int:
    """Count the open descriptors of this process.

    :raises OSError: none is left to look with, or this is not Linux.
    """
    return len(os.listdir(_DESCRIPTORS)) - 1


def open_connections(port: int) -> Iterator[OpenConnection]:
    """Yield every connection accepted on a local TCP port. Its descriptor is closed when the next one is requested.

    :raises OSError: no descriptor is left to look with, or this is not Linux.
    """
    for name in os.listdir(_DESCRIPTORS):
        with suppress(OSError):  # closed meanwhile
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            # a duplicate keeps referring to the same connection, even if the number is reused
            with socket.socket(fileno=os.dup(int(name))) as descriptor:
                found = _accepted(descriptor, port)
                if found is not None:
                    yield found


def accepted_connection(port: int, peer: Peer) -> socket.socket | None:
    """Return the connection of ``peer`` that was accepted on a local TCP port, as a non-blocking duplicate.

    None if this is not Linux, or so many descriptors are open that looking for it would take milliseconds, or that
    duplicates could use up those that :func:`affordable_connections` counts on.
    """
    with suppress(OSError):
        names = os.listdir(_DESCRIPTORS)
        if len(names) > min(_MOST_SEARCHED, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4):
            return None
        for name in reversed(names):
            found = _socket_of(int(name), port, peer)
            if found is not None:
                return found
    return None


def _socket_of(number: int, port: int, peer: Peer) -> socket.socket | None:
    with suppress(OSError):  # closed meanwhile, or not a connected socket
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return None
        # a duplicate keeps referring to the same connection, even if the number is reused
        found = socket.socket(fileno=os.dup(number))
        with ExitStack() as stack:
            stack.callback(found.close)
            if found.family in {socket.AF_INET, socket.AF_INET6} and found.getsockname()[1] == port:
                host, remote_port = found.getpeername()[:2]
                if normal_peer(host, remote_port) == peer:
                    found.settimeout(0)
                    stack.pop_all()
                    return found
    return None


def normal_peer(host: str, port: Any) -> Peer:
    """Convert an address from an ASGI server to the form of :class:`OpenConnection`."""
    return host.removeprefix("::ffff:").partition("%")[0], int(port)


def _accepted(descriptor: socket.socket, port: int) -> OpenConnection | None:
    if descriptor.family not in {socket.AF_INET, socket.AF_INET6} or descriptor.type != socket.SOCK_STREAM:
        return None
    if descriptor.getsockname()[1] != port:
        return None
    host, remote_port = descriptor.getpeername()[:2]  # fails for the listening socket
    info = descriptor.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    sent, received = (struct.unpack_from("=I", info, offset)[0] for offset in (_LAST_SENT, _LAST_RECEIVED))
    waiting = _queued(descriptor, termios.FIONREAD) + _queued(descriptor, termios.TIOCOUTQ)
    return OpenConnection(normal_peer(host, remote_port), min(sent, received) / 1000, waiting, descriptor)


def _queued(descriptor: socket.socket, request: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, request, count)
    return count[0]
