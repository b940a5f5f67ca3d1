"""The launcher's options, and the error that it raises. Nothing here imports a server library."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

ServerName: TypeAlias = Literal["granian", "uvicorn"]


class TlsPolicy(Protocol):
    """Who may connect, and how. Called by the event loop of a worker: nothing here may wait."""

    def context(self) -> ssl.SSLContext:
        """The context for the handshake of one new connection; it must ask for the client's certificate.

        Of :func:`glimpse.launcher.handshake.make_server_context`, a client that is refused hears why.
        """
        ...

    def client(self, connection: ssl.SSLObject) -> object:
        """Who the other side is, asked once when the handshake succeeded; its requests carry the answer."""
        ...

    def refused(self, address: str, reason: str) -> None:
        """A connection ended before it was private; ``address`` is host:port of the other side."""
        ...


class LaunchError(Exception):
    """The service cannot be started; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve one ASGI application on one address.

    host: name or address to listen on; "" is every IPv4 address, "::" every address of both families.
    port: TCP port; 0 lets the system choose one, which the log line "listening on ..." then names.
    workers: processes that serve requests, each with an accept queue of its own on the same port.
    server: the HTTP server library; uvicorn is an extra, and imported only when asked for.
    drain_seconds: for how long running requests may go on after the first SIGTERM or SIGINT.
    idle_seconds: after which a connection without a running request is closed.
    write_seconds: after which a connection whose client takes nothing of its answer is cut.
    connections: how many one worker holds at once, lowered to what the limit of open descriptors allows. A worker that
        has nearly as many closes idle ones, the longest idle first; further ones wait in the accept queue (granian).
    backlog: length of each accept queue.
    access_log: whether the server library logs each request, with the logger `granian.access` or `uvicorn.access`.
    log_level: level of the server library's own logger, `_granian` or `uvicorn.error`.
    in_parent: called once, in the parent process, after the workers were forked. A thread that it starts is running
        when a dead worker is replaced by another fork, and must not hold a lock that the application needs: a metrics
        thread takes a registry of its own.
    tls: serve HTTPS and ask clients for certificates; the server library is uvicorn then, with httptools.

    :raises LaunchError: a value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 9292
    workers: int = 1
    server: ServerName = "granian"
    drain_seconds: float = 30.0
    idle_seconds: float = 75.0
    write_seconds: float = 120.0
    connections: int = 4096
    backlog: int = 1024
    access_log: bool = False
    log_level: int = logging.WARNING
    in_parent: Callable[[], None] | None = None
    tls: TlsPolicy | None = None

    def __post_init__(self) -> None:
        if self.server not in get_args(ServerName):
            raise LaunchError(f"There is no HTTP server {self.server!r}: use {' or '.join(get_args(ServerName))}.")
        if not 0 <= self.port <= 65535:
            raise LaunchError(f"The port must be between 0 and 65535, not {self.port}.")
        if min(self.workers, self.connections, self.backlog) < 1:
            raise LaunchError("The number of workers, the number of connections and the backlog must be at least 1.")
        if self.drain_seconds < 0 or min(self.idle_seconds, self.write_seconds) <= 0:
            raise LaunchError("The drain time must not be negative; the idle and write timeouts must be more than 0.")
