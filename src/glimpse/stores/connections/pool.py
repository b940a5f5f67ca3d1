"""The connections of one store to its servers, kept open between requests."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from threading import Lock
from urllib.parse import urlsplit

from glimpse.stores.base import Bytes
from glimpse.stores.connections.connection import Connection, Origin
from glimpse.stores.connections.interruption import Interruption
from glimpse.stores.connections.limits import ConnectionFailed, Limits, failed
from glimpse.stores.connections.stream import Answer, Stream

#: Idle connections that are kept to each server, and for how long (seconds): servers close theirs after about a minute.
_MOST_IDLE = 16
_LONGEST_IDLE = 30.0
_PORTS = {"http": 80, "https": 443}
#: What the request line and the names of header fields must not contain, and their values.
_NOT_IN_NAMES = re.compile(r"[^\x21-\x7e]")
_NOT_IN_VALUES = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\u0100-\U0010ffff]")
#: How a connection ends that the server has closed meanwhile.
_CLOSED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Connections:
    """Connections by server. Thread-safe; the first request opens the first connection."""

    def __init__(self, limits: Limits, *, verify: bool = True, ca_file: str | None = None) -> None:
        """``verify``: check the certificates of servers. ``ca_file`` has the CA certificates to trust; None means those
        of the system.
        """
        self.limits = limits
        self._verify = verify
        self._ca_file = ca_file
        self._lock = Lock()
        self._idle: defaultdict[Origin, deque[Connection]] = defaultdict(deque)
        self._context: ssl.SSLContext | None = None
        self._closed = False

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Bytes = b"",
        *,
        wait: float | None = None,
        interruption: Interruption | None = None,
    ) -> Answer:
        """As :meth:`open`; return the whole answer.

        :raises ConnectionFailed: the server did not answer completely.
        """
        with self.open(method, url, headers, body, wait=wait, interruption=interruption) as stream:
            return stream.whole()

    def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Bytes = b"",
        *,
        wait: float | None = None,
        interruption: Interruption | None = None,
    ) -> Stream:
        """Send a request and return the answer when its head has arrived, within ``wait`` seconds (None: the usual
        limit).

        ``Host`` and ``Content-Length`` are added. A request on an idle connection that the server has closed is sent
        again on another one.

        :raises ConnectionFailed: the server cannot be reached, or did not answer.
        """
        origin, head = _head(method, url, headers, len(body))
        while True:
            idle = self._take(origin)
            connection = idle or self._connect(origin)
            try:
                return self._exchange(connection, method, head, body, wait, interruption)
            except _CLOSED as error:
                if idle is None:
                    raise failed(error) from error
            except (OSError, http.client.HTTPException) as error:
                raise failed(error) from error

    def close(self) -> None:
        """Close the idle connections, and those in use when they are given back."""
        with self._lock:
            self._closed = True
            idle = [connection for kept in self._idle.values() for connection in kept]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _exchange(
        self,
        connection: Connection,
        method: str,
        head: bytes,
        body: Bytes,
        wait: float | None,
        interruption: Interruption | None,
    ) -> Stream:
        try:
            if interruption is None:
                response, incoming = connection.exchange(method, head, body, wait)
            else:
                with interruption.of(connection):
                    response, incoming = connection.exchange(method, head, body, wait)
        except BaseException:
            connection.close()
            raise
        return Stream(connection, response, incoming, self._give_back)

    def _take(self, origin: Origin) -> Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                if not idle:
                    return None
                connection = idle.pop()
            if connection.is_usable(_LONGEST_IDLE):
                return connection
            connection.close()

    def _give_back(self, connection: Connection, usable: bool) -> None:
        if usable:
            connection.idle_since = time.monotonic()
            with self._lock:
                idle = self._idle[connection.origin]
                if not self._closed and len(idle) < _MOST_IDLE:
                    idle.append(connection)
                    return
        connection.close()

    def _connect(self, origin: Origin) -> Connection:
        context = self._tls() if origin.tls else None
        sock: socket.socket | None = None
        try:
            sock = socket.create_connection((origin.host, origin.port), self.limits.connect)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                sock = context.wrap_socket(sock, server_hostname=origin.host)
        except (OSError, ValueError) as error:
            if sock is None and not isinstance(error, TimeoutError | ConnectionRefusedError | socket.gaierror):
                raise ConnectionFailed("it cannot be reached") from error
            if sock is not None:
                sock.close()
            raise failed(error) from error
        return Connection(origin, sock, self.limits)

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            try:
                context = ssl.create_default_context(cafile=self._ca_file)
            except OSError as error:  # the file is not there any more, or has no certificate
                raise ConnectionFailed("the file of CA certificates cannot be used") from error
            if not self._verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._context = context
        return self._context


def _head(method: str, url: str, headers: Mapping[str, str], length: int) -> tuple[Origin, bytes]:
    """Return the server of a request, and the request without its body."""
    try:
        parts = urlsplit(url)
        scheme, host, authority = parts.scheme, parts.hostname or "", parts.netloc.rpartition("@")[2]
        origin = Origin(scheme == "https", host, parts.port or _PORTS[scheme])
    except (KeyError, ValueError) as error:
        raise ConnectionFailed("its address is not valid") from error
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    names = {name.lower() for name in headers}
    fields = dict(headers)
    if "host" not in names:
        fields = {"Host": authority, **fields}
    if method in {"PUT", "POST"} and "content-length" not in names:
        fields["Content-Length"] = str(length)
    if not host or any(map(_NOT_IN_NAMES.search, (method, target, *fields))):
        raise ConnectionFailed("its address is not valid")
    if any(map(_NOT_IN_VALUES.search, fields.values())):
        raise ConnectionFailed("a header field has characters that HTTP does not allow")
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return origin, "\r\n".join(lines).encode("latin-1")
