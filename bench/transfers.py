"""An image client that takes little of the processors: it sends from the page cache and discards what it receives."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.client
import json
import os
import random
import re
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

MIB = 1 << 20
#: Random bytes, repeated up to the size of an image.
BLOCK = 64 * MIB
#: python-glanceclient sends chunks of this size.
CHUNK = MIB
_SECONDS = 3600


class Failed(Exception):
    """The service answered something else than success."""


@functools.cache
def block() -> bytes:
    """Return the random bytes that all images repeat: the same in every process."""
    return random.Random(BLOCK).randbytes(BLOCK)


class Data:
    """The data of all images, in a file without a name."""

    def __init__(self, size: int) -> None:
        """``size`` is in bytes."""
        self.size = size
        repeated = block()
        self.descriptor = os.memfd_create("glimpse-bench")
        with os.fdopen(os.dup(self.descriptor), "wb") as file:
            file.write(repeated)
        digest = hashlib.sha512()
        for offset in range(0, size, BLOCK):
            digest.update(memoryview(repeated)[: size - offset])
        self.sha512 = digest.hexdigest()

    def parts(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield offset in the file and length of pieces of at most ``size`` bytes."""
        sent = 0
        while sent < self.size:
            offset = sent % BLOCK
            length = min(size, self.size - sent, BLOCK - offset)
            yield offset, length
            sent += length


class Client:
    """One image service."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 9292)
        #: sent with each request
        self.headers: dict[str, str] = {}

    def call(self, method: str, path: str, document: object = None) -> Any:
        """Send a metadata request and return the document of the answer."""
        body = None if document is None else json.dumps(document)
        connection = http.client.HTTPConnection(*self._address, timeout=_SECONDS)
        try:
            connection.request(method, path, body, {**self.headers, "Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise Failed(f"{method} {path}: {answer.status} {content[:300]!r}")
        return json.loads(content) if content else None

    def create(self) -> str:
        """Create an image and return its id."""
        document = {"name": "bench", "disk_format": "raw", "container_format": "bare"}
        return str(self.call("POST", "/v2/images", document)["id"])

    def delete(self, image_id: str) -> None:
        """Delete an image with its data."""
        self.call("DELETE", f"/v2/images/{image_id}")

    def check(self, image_id: str, data: Data) -> None:
        """See that the service stored all data, by its digest of them."""
        image = self.call("GET", f"/v2/images/{image_id}")
        found = (image["status"], image["size"], image["os_hash_value"])
        if found != ("active", data.size, data.sha512):
            raise Failed(f"image {image_id} is {found}")

    def upload(self, image_id: str, data: Data, *, chunked: bool) -> None:
        """Upload with ``Content-Length``, or in chunks as an upload of unknown size."""
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {data.size}"
        self._send_to("file", image_id, data, length, chunked=chunked)

    def stage(self, image_id: str, data: Data) -> None:
        """Stage with ``Content-Length``."""
        self._send_to("stage", image_id, data, f"Content-Length: {data.size}", chunked=False)

    def _send_to(self, what: str, image_id: str, data: Data, length: str, *, chunked: bool) -> None:
        head = self._head("PUT", image_id, "Content-Type: application/octet-stream", length, what=what)
        with self._connected() as connection:
            connection.sendall(head)
            # a service that refuses closes the connection early; its answer says why
            with contextlib.suppress(ConnectionError):
                for offset, size in data.parts(CHUNK if chunked else BLOCK):
                    if chunked:
                        connection.sendall(b"%x\r\n" % size)
                    _send(connection, data.descriptor, offset, size)
                    if chunked:
                        connection.sendall(b"\r\n")
                if chunked:
                    connection.sendall(b"0\r\n\r\n")
            self._answer(connection, 204)

    def download(self, image_id: str, offset: int, size: int, *, whole: bool = False) -> None:
        """Download bytes, by a range request unless it is the ``whole`` image."""
        head = self._head("GET", image_id, *([] if whole else [f"Range: bytes={offset}-{offset + size - 1}"]))
        with self._connected() as connection:
            connection.sendall(head)
            rest = size - len(self._answer(connection, 200 if whole else 206))
            buffer = bytearray(MIB)
            while rest:
                count = connection.recv_into(buffer, min(rest, MIB), socket.MSG_TRUNC)
                if not count:
                    raise Failed(f"download of {image_id}: the connection ended {rest} bytes too early")
                rest -= count

    def download_ranges(self, image_id: str, size: int, streams: int) -> None:
        """Download the image in parallel ranges of equal size."""
        step = -(-size // streams)
        with ThreadPoolExecutor(streams) as threads:
            ranges = [(offset, min(step, size - offset)) for offset in range(0, size, step)]
            for future in [threads.submit(self.download, image_id, *wanted) for wanted in ranges]:
                future.result()

    def sha512_of(self, image_id: str) -> str:
        """Download the image and return its digest."""
        connection = http.client.HTTPConnection(*self._address, timeout=_SECONDS)
        try:
            connection.request("GET", f"/v2/images/{image_id}/file", headers=self.headers)
            answer = connection.getresponse()
            digest = hashlib.sha512()
            while part := answer.read(MIB):
                digest.update(part)
            return digest.hexdigest()
        finally:
            connection.close()

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(self._address, _SECONDS)
        # a blocking socket, which sendfile needs, with the kernel's time limits
        connection.settimeout(None)
        for limit in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            connection.setsockopt(socket.SOL_SOCKET, limit, struct.pack("ll", _SECONDS, 0))
        return connection

    def _head(self, method: str, image_id: str, *lines: str, what: str = "file") -> bytes:
        host, port = self._address
        own = [f"{name}: {value}" for name, value in self.headers.items()]
        head = [f"{method} /v2/images/{image_id}/{what} HTTP/1.1", f"Host: {host}:{port}", *own, *lines]
        return ("\r\n".join([*head, "Connection: close"]) + "\r\n\r\n").encode()

    def _answer(self, connection: socket.socket, expected: int) -> bytes:
        """Read the head of an answer; return what came of the body with it."""
        received = b""
        while b"\r\n\r\n" not in received:
            part = connection.recv(4096)
            if not part:
                break
            received += part
        head, _, rest = received.partition(b"\r\n\r\n")
        words = head.split(maxsplit=2)
        if len(words) < 2 or words[1] != str(expected).encode():
            with contextlib.suppress(ConnectionError):
                rest += connection.recv(65536)
            body = re.sub(r"<[^>]*>|\s+", " ", rest.decode(errors="replace"))
            raise Failed(f"{b' '.join(words[1:2]).decode() or 'no answer'} {' '.join(body.split())[:300]}")
        return rest


def _send(connection: socket.socket, descriptor: int, offset: int, size: int) -> None:
    end = offset + size
    while offset < end:
        offset += os.sendfile(connection.fileno(), descriptor, offset, end - offset)
