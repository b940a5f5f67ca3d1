"""One connection to a server, limited in every wait.

A body is sent from the caller's buffer, without a copy in between.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from http.client import HTTPException, HTTPResponse
from threading import Lock
from typing import cast

import msgspec

from glimpse.stores.base import Bytes
from glimpse.stores.connections.incoming import Incoming
from glimpse.stores.connections.limits import Limits

#: Bytes that the server must take within ``Limits.silence``; the rate below which sending is given up follows from it.
_SLICE = 512 << 10
#: Seconds to wait for the answer of a server that has closed the connection while it was sent the body.
_EARLY_ANSWER = 1.0


class Origin(msgspec.Struct, frozen=True):
    """A server."""

    tls: bool
    host: str
    port: int


class Connection:
    """One connection, used by one thread at a time."""

    def __init__(self, origin: Origin, sock: socket.socket, limits: Limits) -> None:
        self.origin = origin
        #: of ``time.monotonic``
        self.idle_since = 0.0
        self._sock = sock
        self._limits = limits
        self._lock = Lock()
        self._sending = False

    def exchange(self, method: str, head: bytes, body: Bytes, seconds: float | None) -> tuple[HTTPResponse, Incoming]:
        """Send a request; return the answer when its head has arrived, within ``seconds`` (None: the usual limit).

        :raises OSError: the server did not take the request, or no answer came.
        :raises HTTPException: the answer is not HTTP.
        """
        try:
            self._send(head, body)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            # a server may answer, and close, before it has read all: the answer says why
            with contextlib.suppress(OSError, HTTPException):
                return self._receive_head(method, _EARLY_ANSWER)
            raise
        return self._receive_head(method, seconds or self._limits.answer)

    def is_usable(self, longest_idle: float) -> bool:
        """Tell whether an idle connection can take another request: it was idle for at most ``longest_idle`` seconds,
        and the server has neither closed it nor sent anything.
        """
        if time.monotonic() - self.idle_since > longest_idle:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def interrupt_sending(self) -> None:
        """Let the thread that sends a request fail at once; do nothing if the request was sent completely."""
        with self._lock:
            if self._sending:
                with contextlib.suppress(OSError):  # it is closed already
                    self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()

    def _send(self, head: bytes, body: Bytes) -> None:
        self._sock.settimeout(0)
        with self._lock:
            self._sending = True
        view = memoryview(body)
        last = max(0, len(view) - _SLICE)
        if view:
            self._send_all(memoryview(head))
            for start in range(0, last, _SLICE):
                self._send_all(view[start : min(start + _SLICE, last)])
        with self._lock:
            # the server may carry out the request when it has the rest
            self._sending = False
        self._send_all(view[last:] if view else memoryview(head))

    def _send_all(self, data: memoryview) -> None:
        """Send all data, on the non-blocking socket.

        :raises TimeoutError: the server does not take them within ``Limits.silence``.
        :raises ConnectionError: it has closed the connection. Of one that closes only its own side and takes no more
            data, nothing but an event of the socket tells.
        """
        until = time.monotonic() + self._limits.silence
        while data:
            try:
                data = data[self._sock.send(data) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._await(select.POLLOUT, until)
            except ssl.SSLWantReadError:
                self._await(select.POLLIN, until)

    def _await(self, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(self._sock, event | select.POLLRDHUP)
        found = poll.poll(max(0.0, until - time.monotonic()) * 1000)
        if not found:
            raise TimeoutError
        if found[0][1] & (select.POLLRDHUP | select.POLLHUP):
            raise BrokenPipeError

    def _receive_head(self, method: str, seconds: float) -> tuple[HTTPResponse, Incoming]:
        incoming = Incoming(self._sock, self._limits, time.monotonic() + seconds)
        response = _response(incoming, method)
        while 100 <= response.status < 200:
            response = _response(incoming, method)
        incoming.begin_body(None if response.chunked else response.length)
        return response, incoming


def _response(incoming: Incoming, method: str) -> HTTPResponse:
    response = HTTPResponse(cast("socket.socket", incoming), method=method)
    response.begin()
    return response
