"""Connections to Swift and to the identity service: kept open, one request at a time on each, and with time limits.

On ``http.client``, which takes the least processor time of the candidates (ADR 0020): a body is sent from the buffer of
the caller, and received data are returned without another copy.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from threading import Lock
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec

from glimpse.stores.base import Bytes

#: Idle connections that are kept to each server.
_KEPT = 16
#: The largest answer that is read as a whole, in bytes: a page of a listing.
_WHOLE = 64 << 20


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits in seconds: to connect, and for each step of a request: to send it with its body, to the head of the
    answer, and between two pieces of its body.
    """

    connect: float = 10.0
    answer: float = 60.0


class ConnectionFailed(Exception):
    """The server did not answer, or not completely; the message is a short reason without addresses.

    ``timed_out``: the server took longer than the limit.
    """

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class Answer(msgspec.Struct, frozen=True):
    """A whole answer; names of header fields are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Stream:
    """An answer whose body is read in pieces. ``with`` gives the connection back, or closes it in the middle."""

    def __init__(self, connection: _Connection, response: http.client.HTTPResponse, owner: Connections) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        #: bytes of the body; None if the server does not tell
        self.length = response.length
        self._connection: _Connection | None = connection
        self._response = response
        self._owner = owner
        self._received = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, size: int) -> bytes:
        """Return what has arrived of the body, at most ``size`` bytes; empty only at its end.

        :raises ConnectionFailed: the connection broke, or nothing came in time.
        """
        if self._connection is None:
            raise ConnectionFailed("the connection is closed")
        if self.length is not None:
            size = min(size, self.length - self._received)
            if not size:
                return b""
        try:
            data = self._response.read1(size)
        except (OSError, http.client.HTTPException) as error:
            raise _failed(error) from error
        if not data and self.length is not None:
            raise ConnectionFailed("the connection was lost")
        self._received += len(data)
        if not data:
            self.length = self._received
        return data

    def whole(self) -> Answer:
        """Read the body to its end.

        :raises ConnectionFailed: it breaks off, or is too long.
        """
        parts: list[bytes] = []
        size = 0
        while part := self.read(1 << 20):
            parts.append(part)
            size += len(part)
            if size > _WHOLE:
                raise ConnectionFailed("the answer is too long")
        return Answer(self.status, self.headers, b"".join(parts))

    def close(self) -> None:
        """Keep the connection if the body was read to its end, else close it. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        whole = self.length == self._received and not self._response.will_close
        self._response.close()
        if whole:
            self._owner.keep(connection)
        else:
            connection.close()


class Connections:
    """Connections by server. Thread-safe; opens none before the first request."""

    def __init__(self, deadlines: Deadlines, *, verify: bool, ca_file: str | None) -> None:
        """``ca_file`` has the CA certificates to trust; None means those of the system."""
        self.deadlines = deadlines
        self._verify = verify
        self._ca_file = ca_file
        self._lock = Lock()
        self._idle: dict[tuple[str, str], list[_Connection]] = {}
        self._context: ssl.SSLContext | None = None
        self._closed = False

    def request(self, method: str, url: str, headers: Mapping[str, str], body: Bytes = b"") -> Answer:
        """Send a request and return the whole answer.

        :raises ConnectionFailed: the server did not answer completely.
        """
        with self.open(method, url, headers, body) as stream:
            return stream.whole()

    def open(self, method: str, url: str, headers: Mapping[str, str], body: Bytes = b"") -> Stream:
        """Send a request and return the answer when its head has arrived.

        A kept connection that the server has closed in the meantime is replaced by a new one.

        :raises ConnectionFailed: the server did not answer.
        """
        parts = urlsplit(url)
        server = (parts.scheme, parts.netloc.rpartition("@")[2])
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        kept = self._take(server)
        if kept is not None:
            try:
                return self._send(kept, method, target, headers, body)
            except ConnectionFailed as error:
                if error.timed_out:
                    raise
        return self._send(self._connect(server), method, target, headers, body)

    def keep(self, connection: _Connection) -> None:
        """Keep a connection whose last answer was read to its end."""
        with self._lock:
            idle = self._idle.setdefault(connection.server, [])
            if not self._closed and len(idle) < _KEPT:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle connections, and those in use when they are given back."""
        with self._lock:
            self._closed = True
            idle = [connection for kept in self._idle.values() for connection in kept]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _take(self, server: tuple[str, str]) -> _Connection | None:
        with self._lock:
            idle = self._idle.get(server)
            return idle.pop() if idle else None

    def _connect(self, server: tuple[str, str]) -> _Connection:
        scheme, host = server
        try:
            made: http.client.HTTPConnection
            if scheme == "https":
                made = http.client.HTTPSConnection(host, timeout=self.deadlines.connect, context=self._tls())
            else:
                made = http.client.HTTPConnection(host, timeout=self.deadlines.connect)
            made.connect()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _failed(error) from error
        made.sock.settimeout(self.deadlines.answer)
        return _Connection(server, made)

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            context = ssl.create_default_context(cafile=self._ca_file)
            if not self._verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._context = context
        return self._context

    def _send(
        self, connection: _Connection, method: str, target: str, headers: Mapping[str, str], body: Bytes
    ) -> Stream:
        try:
            response = connection.exchange(method, target, headers, body)
        except BaseException as error:
            connection.close()
            if isinstance(error, (OSError, ValueError, http.client.HTTPException)):
                raise _failed(error) from error
            raise
        stream = Stream(connection, response, self)
        if method == "HEAD" or response.status in {204, 304}:
            stream.length = 0
        return stream


class _Connection:
    """One connection to ``server``, a scheme and a host with port."""

    def __init__(self, server: tuple[str, str], client: http.client.HTTPConnection) -> None:
        self.server = server
        self._client = client

    def exchange(self, method: str, target: str, headers: Mapping[str, str], body: Bytes) -> http.client.HTTPResponse:
        client = self._client
        client.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            client.putheader(name, value)
        if method in {"PUT", "POST"}:
            client.putheader("Content-Length", str(len(body)))
        client.endheaders()
        if len(body):
            try:
                client.send(body)
            except TimeoutError:
                raise
            except OSError:
                # the server may have answered before the end of the body, and closed the connection
                return client.getresponse()
        return client.getresponse()

    def close(self) -> None:
        self._client.close()


def _failed(error: Exception) -> ConnectionFailed:
    match error:
        case TimeoutError():
            return ConnectionFailed("it did not answer in time", timed_out=True)
        case ssl.SSLCertVerificationError():
            return ConnectionFailed("its certificate is not trusted")
        case ConnectionRefusedError():
            return ConnectionFailed("it refuses connections")
        case http.client.HTTPException() if not isinstance(error, http.client.RemoteDisconnected):
            return ConnectionFailed("it sends no valid answer")
        case _:
            return ConnectionFailed("the connection was lost")
