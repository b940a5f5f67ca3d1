"""The accepted TCP connections of this process, as the kernel knows them.

The HTTP servers do not tell which connections they have (granian accepts them outside of Python), so this searches the
descriptors of the process. Linux only.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import stat
import struct
import termios
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

#: Host and port. IPv4 addresses of an IPv6 socket are written as IPv4, and zones are left out.
Peer: TypeAlias = tuple[str, int]

_DESCRIPTORS = "/proc/self/fd"

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
