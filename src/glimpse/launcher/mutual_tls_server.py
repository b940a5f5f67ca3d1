"""uvicorn in a worker process with mutual TLS: the scope of a request contains its client's identity.

uvicorn itself hands no certificate to the application, fixes its TLS context at the start, and says nothing about
failed handshakes. So each connection starts as a :class:`_PendingConnection`, which does the handshake with the TLS
context of that moment, and is then handed to uvicorn's protocol.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from glimpse.asgi import CLIENT_KEY, ASGIApp
from glimpse.launcher.handshake import CONNECTION
from glimpse.launcher.listeners import describe
from glimpse.launcher.options import ServeOptions, TlsPolicy
from glimpse.launcher.uvicorn_server import DrainingServer

# Joins the head of a response and the beginning of its body into one write, so into one TLS record and packet

#: Two writes are joined when the second has at most so many bytes; copying more costs what a record less saves.
JOINED_BYTES = 64 * 1024


class JoinedWrites:
    """A transport for uvicorn, which writes the head of an answer and its body one after the other.

    The first write after :meth:`hold_next` waits for the second, for the end of the event loop's turn or for the end of
    the connection, whichever comes first. So at most one write is held, and the following ones are immediately subject
    to the transport's own limits.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._holds = False
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def hold_next(self) -> None:
        """An answer begins with the next write."""
        self._holds = True

    def write(self, data: bytes) -> None:
        """See asyncio."""
        held, self._held = self._held, b""
        if self._holds:
            self._holds = False
            self._send(held)
            self._held = data
            self._loop.call_soon(self._flush)
        elif len(data) <= JOINED_BYTES:
            self._send(held + data)
        else:
            self._send(held)
            self._send(data)

    def close(self) -> None:
        """See asyncio."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, b""
        self._send(held)

    def _send(self, data: bytes) -> None:
        if data:
            self._transport.write(data)


#: Seconds for a handshake, and for the client to close its side of the connection.
HANDSHAKE_SECONDS = 15.0
SHUTDOWN_SECONDS = 2.0
#: Seconds for which an idle connection stays open after the stop signal: a request may be on its way, and to close
#: then would leave its sender not knowing whether it was carried out. Its answer says that it is the last one.
LEAVING_SECONDS = 1.0
#: Maximum number of concurrent handshakes in a worker, whose clients are not yet authenticated.
MOST_HANDSHAKES = 256
#: Request line and headers.
HEAD_BYTES = 64 * 1024


class MutualTlsServer:
    """An HTTPS server for one event loop: `serve` until `stop`, then until the open connections are done."""

    def __init__(self, app: ASGIApp, options: ServeOptions, listener: socket.socket) -> None:
        policy = options.tls
        if policy is None:
            raise ValueError("there is no TLS policy")
        pending_connections: set[_PendingConnection] = set()

        def accept(**arguments: Any) -> _PendingConnection:
            return _PendingConnection(
                policy, pending_connections, MOST_HANDSHAKES, lambda client: _Private(client, **arguments)
            )

        config = uvicorn.Config(
            app,  # pyright: ignore[reportArgumentType] - the same protocol, spelled with typed dictionaries
            lifespan="off",  # driven by the launcher
            http=cast("type[asyncio.Protocol]", accept),  # called and nothing else
            ws="none",
            backlog=options.backlog,
            timeout_keep_alive=max(1, round(options.idle_seconds)),
            log_config=None,
            access_log=options.access_log,
            server_header=False,
            date_header=False,
            proxy_headers=False,
        )
        logging.getLogger("uvicorn.error").setLevel(options.log_level)
        self._server = _Server(config, pending_connections)
        self._listener = listener

    async def serve(self) -> None:
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        self._server.should_exit = True


class _Server(DrainingServer):
    def __init__(self, config: uvicorn.Config, pending_connections: set[_PendingConnection]) -> None:
        super().__init__(config)
        self._pending_connections = pending_connections

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Abort pending handshakes: their clients have not sent a request yet."""
        for accept in list(self._pending_connections):
            accept.abort()
        await super().shutdown(sockets)


class _Private(HttpToolsProtocol):
    """A connection of uvicorn, with the client in each scope, and limits that uvicorn leaves to a proxy."""

    def __init__(self, client: object, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._client = client
        self._in_head = False
        self._head_bytes = 0
        self._leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn has it
        self._joining = JoinedWrites(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._joining))
        # uvicorn's own idle timeout starts after the first response
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        began_in_head = self._in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        if began_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response("The request head is too long.")
                return
        if self.cycle is None or self.cycle.response_complete:  # pyright: ignore[reportUnnecessaryComparison] - None before the first request
            self._start_clock()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[CLIENT_KEY] = self._client
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._joining.hold_next()
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        if self._leaving:
            return
        self._leaving = True
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
            self._start_clock()
        elif self.cycle is not None:  # pyright: ignore[reportUnnecessaryComparison] - None before the first request
            self.cycle.keep_alive = False

    def _start_clock(self) -> None:
        if self.timeout_keep_alive_task is None:
            seconds = LEAVING_SECONDS if self._leaving else self.timeout_keep_alive
            self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


class _PendingConnection(asyncio.Protocol):
    """A new connection until the end of its handshake; then ``make`` creates its further protocol."""

    def __init__(
        self,
        policy: TlsPolicy,
        pending_connections: set[_PendingConnection],
        most: int,
        make: Callable[[object], _Private],
    ) -> None:
        self._policy = policy
        self._pending_connections = pending_connections
        self._most = most
        self._make = make
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._pending_connections) >= self._most:
            self._transport.abort()
            return
        self._pending_connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._open(self._transport))

    def abort(self) -> None:
        """Close the connection without sending anything."""
        if self._transport is not None:
            self._transport.abort()

    async def _open(self, transport: asyncio.Transport) -> None:
        peer = transport.get_extra_info("peername")
        arrivals = _Arrivals()
        CONNECTION.set(transport)
        try:
            private = await asyncio.get_running_loop().start_tls(
                transport,
                arrivals,
                self._policy.context(),
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except OSError as error:  # includes ssl.SSLError and timeouts
            self._policy.refused(describe(peer) if peer else "-", _reason(error))
            return
        finally:
            self._pending_connections.discard(self)
        # None if the client has already disconnected
        if private is not None and not arrivals.lost:
            connection: ssl.SSLObject = private.get_extra_info("ssl_object")
            arrivals.hand_over(private, self._make(self._policy.client(connection)))


class _Arrivals(asyncio.Protocol):
    """Buffers data that arrive with the end of the handshake until the next protocol reads them."""

    def __init__(self) -> None:
        self.lost = False
        self._parts: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.lost = True

    def hand_over(self, transport: asyncio.Transport, protocol: _Private) -> None:
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for part in self._parts:
            protocol.data_received(part)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return str(error) or type(error).__name__
