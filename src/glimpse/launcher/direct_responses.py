"""Long responses are written straight to the socket of their connection, past the HTTP server (ADR 0024).

granian copies each part of a body and hands it to a thread of its own, which is most of what a download costs outside
the kernel. While granian waits for a response, it writes nothing. So a long response to HTTP/1.1 goes to a duplicate of
the connection's descriptor. Afterwards the connection is of no use to granian, and ends.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from glimpse.asgi import ASGIApp, Message, Receive, Scope, Send
from glimpse.launcher.descriptors import accepted_connection, normal_peer
from glimpse.launcher.listeners import TCP_NOTSENT_LOWAT, UNSENT_BYTES

#: Shorter responses are left to the server, which keeps their connections open.
DIRECT_BYTES: Final = 16 << 20
#: Bytes that wait in the kernel for a client that is fast enough for parts of more than ``UNSENT_BYTES``. With fewer,
#: the event loop is woken several times for one part.
_FAST_UNSENT_BYTES: Final = 2 << 20


class DirectResponses:
    """Wraps the application of a server that listens on the TCP port ``port``."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["http_version"] != "1.1" or not scope["client"]:
            await self._app(scope, receive, send)
            return
        response = _Response(scope, send, self._port)
        try:
            await self._app(scope, receive, response.send)
        finally:
            response.close()


class _Response:
    """The response to one request. :meth:`send` decides at its start which way it goes."""

    __slots__ = ("_connection", "_fast", "_head", "_port", "_scope", "_server_send")

    def __init__(self, scope: Scope, server_send: Send, port: int) -> None:
        self._scope = scope
        self._server_send = server_send
        self._port = port
        self._head = b""
        self._connection: socket.socket | None = None
        self._fast = False

    async def send(self, message: Message) -> None:
        """Pass on a message of the response.

        :raises OSError: the client has disconnected.
        """
        connection = self._connection
        if connection is not None:
            await self._write(connection, message)
        elif message["type"] == "http.response.start" and (head := direct_head(message)):
            self._connection = accepted_connection(self._port, normal_peer(*self._scope["client"]))
            if self._connection is None:
                await self._server_send(message)
            else:
                self._head = head
        else:
            await self._server_send(message)

    def close(self) -> None:
        """End the connection, unless the server has the response. The client sees whether the body is complete."""
        if self._connection is not None:
            # also for the server, which must not add a response of its own
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
            self._connection = None

    async def _write(self, connection: socket.socket, message: Message) -> None:
        part: bytes = message.get("body", b"")
        if (len(part) > UNSENT_BYTES) != self._fast:
            self._fast = not self._fast
            unsent = _FAST_UNSENT_BYTES if self._fast else UNSENT_BYTES
            connection.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent)
        head, self._head = self._head, b""
        try:
            sent = connection.sendmsg((head, part)) if head else connection.send(part)
        except BlockingIOError:
            sent = 0
        if sent < len(head) + len(part):
            await _write_rest(connection, memoryview(head + part if head else part)[sent:])
        if not message.get("more_body"):
            await self._end(connection)

    async def _end(self, connection: socket.socket) -> None:
        """Let the client see the end, then let the server finish: its response fails at once."""
        connection.shutdown(socket.SHUT_WR)
        await self._server_send({"type": "http.response.start", "status": 200, "headers": []})
        await self._server_send({"type": "http.response.body", "body": b""})


async def _write_rest(connection: socket.socket, rest: memoryview) -> None:
    """Write everything, as fast as the client takes it."""
    loop = asyncio.get_running_loop()
    while rest:
        writable: asyncio.Future[None] = loop.create_future()
        loop.add_writer(connection, _wake, writable)
        try:
            await writable
        finally:
            loop.remove_writer(connection)
        with suppress(BlockingIOError):
            rest = rest[connection.send(rest) :]


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def direct_head(start: Message) -> bytes:
    """Return the head of a response that begins with ``start``, as it is sent; empty if the server has to send it.

    These have no Content-Length or a short one, or headers that the server would refuse.
    """
    length = 0
    lines = [f"HTTP/1.1 {start['status']} {HTTPStatus(start['status']).phrase}".encode()]
    for name, value in start["headers"]:
        if name == b"content-length":
            length = int(value)
        if name in _OF_THE_CONNECTION or _BREAKS.intersection(name + value):
            return b""
        lines.append(b"%b: %b" % (name, value))
    if length < DIRECT_BYTES:
        return b""
    lines += (b"date: " + formatdate(usegmt=True).encode(), b"connection: close", b"", b"")
    return b"\r\n".join(lines)


_OF_THE_CONNECTION: Final = frozenset({b"connection", b"transfer-encoding", b"date"})
_BREAKS: Final = frozenset(b"\r\n\0")
