"""A keep-alive connection to a registry server: the part of HTTP/1.1 that the registry uses, over mutual TLS.

Responses have a length and no trailers; anything else is refused. docs/adr/0009 explains why this is not a general HTTP
client.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from typing import NamedTuple, NoReturn

from glimpse.registry.wire import MAX_BODY
from glimpse.settings.database_url import Address

#: Maximum size of a response's status line and headers, in bytes.
_HEAD = 16 * 1024
_PART = 64 * 1024


class Unreachable(Exception):
    """A connection could not be made, and nothing was sent; the message is a sentence."""


class NotTrusted(Unreachable):
    """One side does not accept the certificate of the other."""


class NotSent(Exception):
    """The connection ended before the request was complete, so the server has done nothing."""


class AnswerLost(Exception):
    """The request was sent but got no response; it may have been executed. The message is a sentence."""


class Answer(NamedTuple):
    """Names of ``headers`` are lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None."""
        value = self.headers.get(name.lower().encode())
        return None if value is None else value.decode("latin-1")


class Connection:
    """Used by one thread at a time. Deadlines are of ``time.monotonic``."""

    def __init__(self, address: Address, context: ssl.SSLContext, deadline: float) -> None:
        """Connect.

        :raises Unreachable: there is no server, or it is not trusted.
        """
        self.used = time.monotonic()
        #: whether the server accepts another request on this connection
        self.open = True
        try:
            plain = socket.create_connection(address, timeout=_left(deadline))
        except OSError as error:
            raise Unreachable("The registry cannot be reached.") from error
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(_left(deadline))
            self._socket = context.wrap_socket(plain, server_hostname=address.host)
        except OSError as error:
            plain.close()
            raise_unreachable(error)
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)

    def is_stale(self) -> bool:
        """Tell whether the server has closed it: a server sends nothing without a request."""
        return bool(self._poll.poll(0))

    def exchange(self, head: bytes, body: bytes, deadline: float) -> Answer:
        """Send one request, with ``head`` from its first line to the end of its headers, and read the response.

        :raises NotSent: see there.
        :raises AnswerLost: see there.
        """
        try:
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(head + body)
        except OSError as error:
            raise NotSent from error
        try:
            answer = self._answer(deadline)
        except TimeoutError as error:
            raise AnswerLost("The registry did not answer in time.") from error
        except OSError as error:
            raise AnswerLost("The connection to the registry was lost.") from error
        self.used = time.monotonic()
        return answer

    def close(self) -> None:
        """Close the connection."""
        self.open = False
        self._socket.close()

    def _answer(self, deadline: float) -> Answer:
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > _HEAD:
                raise AnswerLost("The registry's response is not HTTP/1.1.")
            data += self._part(deadline)
        status, headers = _parsed(data[:end])
        length = _length(headers)
        if headers.get(b"connection", b"").lower() == b"close":
            self.open = False
        body = data[end + 4 :]
        if len(body) > length:
            raise AnswerLost("The registry sent more data than the response.")
        return Answer(status, headers, body if len(body) == length else self._rest(body, length, deadline))

    def _rest(self, begun: bytes, length: int, deadline: float) -> bytes:
        body = bytearray(length)
        body[: len(begun)] = begun
        with memoryview(body) as view:
            filled = len(begun)
            while filled < length:
                self._socket.settimeout(_left(deadline))
                got = self._socket.recv_into(view[filled:])
                if not got:
                    raise AnswerLost("The connection to the registry was lost.")
                filled += got
        return bytes(body)

    def _part(self, deadline: float) -> bytes:
        self._socket.settimeout(_left(deadline))
        part = self._socket.recv(_PART)
        if not part:
            raise AnswerLost("The connection to the registry was lost.")
        return part


def _left(deadline: float) -> float:
    """Return the seconds until a deadline, as a timeout greater than 0, which would mean not to wait at all."""
    return max(deadline - time.monotonic(), 0.001)


def _parsed(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head.split(b"\r\n")
    if not first.startswith(b"HTTP/1.1 ") or not first[9:12].isdigit():
        raise AnswerLost("The registry's response is not HTTP/1.1.")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    return int(first[9:12]), headers


def _length(headers: dict[bytes, bytes]) -> int:
    text = headers.get(b"content-length", b"")
    if not text.isdigit() or len(text) > 12 or int(text) > MAX_BODY:
        raise AnswerLost("The registry's response has no length or is too long.")
    return int(text)


def raise_unreachable(error: BaseException | None) -> NoReturn:
    """Raise the reason why a connection got no first response.

    In TLS 1.3 a server checks the client's certificate after the client's side of the handshake is finished.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        raise NotTrusted(f"The registry's certificate is not accepted: {reason}.") from error
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        raise NotTrusted("The registry does not accept this node's certificate.") from error
    raise Unreachable("The registry closes new connections at once.") from error
