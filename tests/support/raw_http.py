"""The Images API as raw bytes on a connection, without a client library."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
OCTETS = {"Content-Type": "application/octet-stream"}
JSON_PATCH = "application/openstack-images-v2.1-json-patch"
SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """What came back. Header names are looked up without regard to case."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text, for messages of errors."""
        return self.body.decode(errors="replace")


class Api:
    """Requests to one service, each on a connection of its own."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self.port = port
        self._headers = dict(headers or {})

    def connect(self, timeout: float = SECONDS) -> http.client.HTTPConnection:
        """A connection that stays open as long as both sides want."""
        return http.client.HTTPConnection(HOST, self.port, timeout=timeout)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = SECONDS,
    ) -> Answer:
        """Send one request. A body of bytes goes with its length, one from an iterable goes in chunks."""
        connection = self.connect(timeout)
        try:
            return exchange(connection, method, path, body, {**self._headers, **(headers or {})})
        finally:
            connection.close()

    def create(self, **fields: object) -> dict[str, Any]:
        """Create an image, raw and bare unless said otherwise; returns its document."""
        document = {"disk_format": "raw", "container_format": "bare", **fields}
        answer = self.call("POST", "/v2/images", json.dumps(document).encode())
        assert answer.status == 201, (answer.status, answer.text)
        return answer.json

    def new(self, **fields: object) -> str:
        """Create an image; returns its id."""
        return self.create(**fields)["id"]

    def show(self, image_id: str) -> dict[str, Any]:
        """The document of an image that is there."""
        answer = self.call("GET", f"/v2/images/{image_id}")
        assert answer.status == 200, (answer.status, answer.text)
        return answer.json

    def upload(self, image_id: str, body: bytes | Iterable[bytes], headers: Mapping[str, str] | None = None) -> Answer:
        """PUT the data of an image."""
        return self.call("PUT", f"/v2/images/{image_id}/file", body, {**OCTETS, **(headers or {})})

    def download(self, image_id: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET the data of an image into memory."""
        return self.call("GET", f"/v2/images/{image_id}/file", None, headers)

    def patch(self, image_id: str, operations: object, media_type: str = JSON_PATCH) -> Answer:
        """PATCH an image with a JSON document."""
        body = json.dumps(operations).encode()
        return self.call("PATCH", f"/v2/images/{image_id}", body, {"Content-Type": media_type})

    def delete(self, image_id: str) -> Answer:
        """DELETE an image."""
        return self.call("DELETE", f"/v2/images/{image_id}")


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request on an open connection.

    A server may answer and close while the body is still being sent; the answer is read all the same, as urllib3
    does it for requests and the OpenStack clients.
    """
    chunked = body is not None and not isinstance(body, bytes)
    fields = {**(headers or {}), **({"Transfer-Encoding": "chunked"} if chunked else {})}
    try:
        connection.request(method, path, body, fields, encode_chunked=chunked)
    except (BrokenPipeError, ConnectionResetError):
        with http.client.HTTPResponse(connection.sock, method=method) as early:
            early.begin()
            return Answer(early.status, early.headers, early.read())
    with connection.getresponse() as answer:
        return Answer(answer.status, answer.headers, answer.read())


class RawConnection:
    """A socket on which a test decides about every byte. ``with`` closes it."""

    def __init__(self, port: int, *, timeout: float = SECONDS, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((HOST, port))

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        self.socket.sendall(data)

    def head(self, method: str, path: str, headers: Mapping[str, str | int] | None = None) -> None:
        """Send a request up to the empty line."""
        fields = {"Host": HOST, **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body; an empty one is its end."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def interim(self) -> bytes:
        """Read the next lines up to an empty one, as ``100 Continue`` is made of."""
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            if not byte:
                break
            received += byte
        return received

    def answer(self, method: str = "GET") -> Answer:
        """Read one complete answer."""
        with http.client.HTTPResponse(self.socket, method=method) as response:
            response.begin()
            return Answer(response.status, response.headers, response.read())

    def half_close(self) -> None:
        """Send no more, keep receiving."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Go away at once: the other side sees ``connection reset``."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def is_closed_by_peer(self) -> bool:
        """Wait until the other side closes; False when it sends something or stays silent."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def zeros(size: int, part: int = 1 << 20) -> Iterable[bytes]:
    """A body of ``size`` zero bytes in parts of ``part`` bytes that takes no memory."""
    block = bytes(part)
    for _ in range(size // part):
        yield block
    if size % part:
        yield block[: size % part]
