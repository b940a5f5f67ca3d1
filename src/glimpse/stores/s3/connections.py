"""HTTP/1.1 connections to one server: kept open between requests, and limited in every wait.

Data are sent from the caller's buffer and received into the object that is returned, without further copies. That is
why no HTTP library is used beyond the response parser of the standard library (docs/adr/0019).
"""

from __future__ import annotations

import contextlib
import io
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import cached_property
from http.client import HTTPException, HTTPResponse
from threading import Lock
from typing import TYPE_CHECKING, cast

import msgspec

from glimpse.errors import StoreUnavailable
from glimpse.stores.base import Bytes

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ServerSilent(StoreUnavailable):
    """The server takes or sends no data for too long."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits in seconds: to connect, for a server that takes or sends no data, and for the answer to a request.

    ``least_rate``: bytes a second that a body must bring on average of ``rate_window`` seconds of waiting for it.
    """

    connect: float = 10.0
    silence: float = 20.0
    answer: float = 20.0
    least_rate: float = 4096.0
    rate_window: float = 60.0


#: Bytes that the server must take within ``silence``; the rate below which sending is given up follows from it.
_SLICE = 512 << 10
#: Idle connections that are kept, and for how long (seconds): servers close theirs after about a minute.
_MOST_IDLE = 16
_LONGEST_IDLE = 30.0
_HEAD_BUFFER = 16 << 10


class Connection:
    """One connection, used by one thread at a time."""

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self._sock = sock
        self._limits = limits
        self.idle_since = 0.0

    def send(self, head: bytes, body: Bytes) -> None:
        """Send a request.

        :raises OSError: the server does not take it, or closed the connection.
        """
        self._sock.settimeout(self._limits.silence)
        self._sock.sendall(head)
        view = memoryview(body)
        for start in range(0, len(view), _SLICE):
            self._sock.sendall(view[start : start + _SLICE])

    def response(self, method: str, wait: float | None = None) -> HTTPResponse:
        """Return the response, of which the head was received within ``wait`` seconds (None: the usual limit).

        :raises OSError: no response came, or the connection broke.
        :raises HTTPException: it is not HTTP.
        """
        incoming = _Incoming(self._sock, self._limits, time.monotonic() + (wait or self._limits.answer))
        response = HTTPResponse(cast("socket.socket", incoming), method=method)
        response.begin()
        incoming.deadline = None
        return response

    def is_usable(self) -> bool:
        """Tell whether an idle connection can take another request: the server has not closed it."""
        if time.monotonic() - self.idle_since > _LONGEST_IDLE:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def interrupt(self) -> None:
        """Make the thread that uses the connection fail at once."""
        with contextlib.suppress(OSError):  # it is closed already
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()


class _Incoming(io.RawIOBase):
    """What the server sends, as the file that ``HTTPResponse`` reads from; closing it leaves the connection open."""

    def __init__(self, sock: socket.socket, limits: Limits, deadline: float) -> None:
        self._sock = sock
        self._limits = limits
        self._bytes = 0
        self._waited = 0.0
        #: of ``time.monotonic``; None when only the rate is limited
        self.deadline: float | None = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, _HEAD_BUFFER)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        began = time.monotonic()
        limit = self._limits.silence
        if self.deadline is not None:
            limit = self.deadline - began
            if limit <= 0:
                raise TimeoutError("the response did not arrive in time")
        self._sock.settimeout(limit)
        count = self._sock.recv_into(buffer)
        if self.deadline is None:
            self._require_rate(count, time.monotonic() - began)
        return count

    def _require_rate(self, count: int, seconds: float) -> None:
        self._bytes += count
        self._waited += seconds
        if self._waited >= self._limits.rate_window:
            if self._bytes < self._limits.least_rate * self._waited:
                raise TimeoutError("the response arrives too slowly")
            self._bytes, self._waited = 0, 0.0


class Connections:
    """The connections of one store to its server. The first request opens the first connection."""

    def __init__(
        self, store_id: str, host: str, port: int, context: Callable[[], ssl.SSLContext] | None, limits: Limits
    ) -> None:
        """``context`` makes the TLS context; None for connections without TLS."""
        self._store_id = store_id
        self._address = (host, port)
        self._make_context = context
        self._limits = limits
        self._idle: deque[Connection] = deque()
        self._lock = Lock()
        self._closed = False

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: Bytes,
        wait: float | None,
        use: Callable[[Connection], None],
    ) -> tuple[Connection, HTTPResponse]:
        """Send a request and return the response when its head has arrived.

        A request on a connection that the server has closed meanwhile is sent again on a new one. ``use`` is called
        with each connection before it is used.

        :raises StoreUnavailable: the server cannot be reached, or does not answer in time.
        """
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        head = "\r\n".join(lines).encode("latin-1")
        while True:
            idle = self._take()
            connection = idle or self._connect()
            use(connection)
            try:
                return connection, self._exchange(connection, method, head, body, wait)
            except (ConnectionError, HTTPException, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
                connection.close()
                if idle is None:
                    raise self._failed(error) from error
            except OSError as error:
                connection.close()
                raise self._failed(error) from error
            except BaseException:
                connection.close()
                raise

    def give_back(self, connection: Connection, response: HTTPResponse) -> None:
        """Keep the connection for the next request, if the response was read to its end."""
        reusable = response.isclosed() and not response.will_close
        if reusable:
            connection.idle_since = time.monotonic()
            with self._lock:
                if not self._closed and len(self._idle) < _MOST_IDLE:
                    self._idle.append(connection)
                    return
        connection.close()

    def broken(self, error: Exception) -> StoreUnavailable:
        """Return the error for a response that could not be read to its end."""
        return self._failed(error)

    def close(self) -> None:
        """Close the idle connections, and keep none from now on."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, deque()
        for connection in idle:
            connection.close()

    def _exchange(
        self, connection: Connection, method: str, head: bytes, body: Bytes, wait: float | None
    ) -> HTTPResponse:
        try:
            connection.send(head, body)
        except (BrokenPipeError, ConnectionResetError):
            # a server may answer, and close, before it has read all: the answer says why
            try:
                return connection.response(method, 1.0)
            except (OSError, HTTPException):
                pass
            raise
        return connection.response(method, wait)

    def _take(self) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.close()

    def _connect(self) -> Connection:
        try:
            sock = socket.create_connection(self._address, self._limits.connect)
        except OSError as error:
            raise StoreUnavailable(f"The server of store {self._store_id} cannot be reached.") from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._make_context is not None:
                sock = self._context.wrap_socket(sock, server_hostname=self._address[0])
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise StoreUnavailable(
                f"The certificate of the server of store {self._store_id} cannot be verified: {error.verify_message}."
            ) from error
        except OSError as error:
            sock.close()
            raise self._failed(error) from error
        return Connection(sock, self._limits)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        assert self._make_context is not None  # noqa: S101
        return self._make_context()

    def _failed(self, error: Exception) -> StoreUnavailable:
        if isinstance(error, TimeoutError):
            return ServerSilent(f"The server of store {self._store_id} did not answer in time.")
        return StoreUnavailable(f"The server of store {self._store_id} closed the connection.")
