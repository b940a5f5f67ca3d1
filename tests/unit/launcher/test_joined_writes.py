"""Answers of a server with mutual TLS: head and body in one record, and nothing kept that could be on its way."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from glimpse.launcher.handshake import make_server_context
from glimpse.launcher.mutual_tls_server import JOINED_BYTES, JoinedWrites, MutualTlsServer
from glimpse.launcher.options import ServeOptions
from glimpse.registry.certs import make_certificates
from glimpse.registry.tls import ServerTls, TlsFiles
from glimpse.registry.wire import Role
from tests.support.footprint import eventually

HOST = "127.0.0.1"
RETRIES = 30.0

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Served:
    """A server on a thread of its own whose application each test brings along."""

    def __init__(self, directory: Path) -> None:
        files = TlsFiles(
            certificate=directory / "server.crt", key=directory / "server.key", client_authorities=directory / "ca.crt"
        )
        self._context = ssl.create_default_context(cafile=directory / "ca.crt")
        self._context.load_cert_chain(directory / "node.crt", directory / "node.key")
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.bind((HOST, 0))
        self._application: Application | None = None
        self.server = MutualTlsServer(
            self, ServeOptions(tls=ServerTls(files, {}, make_context=make_server_context)), self._listener
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="served")
        self._started = threading.Event()
        self._thread.start()
        assert self._started.wait(RETRIES)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.call_soon(self._started.set)
        await self.server.serve()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert self._application is not None
        await self._application(scope, receive, send)

    @contextmanager
    def connected(self, application: Application) -> Generator[ssl.SSLSocket]:
        """A connection to ``application``."""
        self._application = application
        plain = socket.create_connection((HOST, self._listener.getsockname()[1]), timeout=RETRIES)
        with self._context.wrap_socket(plain, server_hostname="localhost") as connection:
            yield connection

    def stop(self) -> None:
        """End the server and its thread."""
        self.loop.call_soon_threadsafe(self.server.stop)
        self._thread.join(RETRIES)
        self._listener.close()
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("served") / "certificates"
    make_certificates(directory, clients={"node": Role.API})
    started = Served(directory)
    yield started
    started.stop()


def start(length: int | None, status: int = 200) -> dict[str, Any]:
    fields = [] if length is None else [(b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": status, "headers": fields}


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def answering(*messages: dict[str, Any]) -> Application:
    """An application that takes the whole request, and then sends these."""

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body", False):
            pass
        for message in messages:
            await send(message)

    return application


def asked(connection: ssl.SSLSocket, verb: str = "GET", fields: str = "", body: bytes = b"") -> None:
    connection.sendall(f"{verb} / HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode() + body)


def read(connection: ssl.SSLSocket, length: int) -> bytes:
    """As many bytes; one call of ``recv`` returns no more than one record."""
    data = bytearray()
    while len(data) < length and (got := connection.recv(65536)):
        data += got
    return bytes(data)


def test_head_and_body_come_in_one_record(served: Served) -> None:
    with served.connected(answering(start(5), part(b"hello"))) as connection:
        for _ in range(3):
            asked(connection)
            assert connection.recv(65536) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def test_a_head_without_a_body_comes_at_once(served: Served) -> None:
    with served.connected(answering(start(0), part(b""))) as connection:
        asked(connection)
        assert connection.recv(65536).endswith(b"content-length: 0\r\n\r\n")
    with served.connected(answering(start(5), part(b"hello"))) as connection:
        for _ in range(2):
            asked(connection, "HEAD")
            assert connection.recv(65536).endswith(b"content-length: 5\r\n\r\n")


def test_a_head_does_not_wait_for_a_body_that_takes_its_time(served: Served) -> None:
    go_on = asyncio.Event()

    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start(5))
        await go_on.wait()
        await send(part(b"hello"))

    with served.connected(slow) as connection:
        asked(connection)
        assert connection.recv(65536).endswith(b"content-length: 5\r\n\r\n")
        served.loop.call_soon_threadsafe(go_on.set)
        assert connection.recv(65536) == b"hello"


@pytest.mark.parametrize("length", [16 * 1024, JOINED_BYTES, JOINED_BYTES + 1, 3 << 20])
@pytest.mark.parametrize("parts", [1, 3])
def test_long_bodies_arrive_whole(served: Served, length: int, parts: int) -> None:
    body = bytes(range(256)) * (length // 256 + 1)
    messages = [part(body[:length], more=number < parts) for number in range(1, parts + 1)]
    with served.connected(answering(start(parts * length), *messages)) as connection:
        for _ in range(2):
            asked(connection)
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {parts * length}\r\n\r\n".encode()
            assert read(connection, len(head) + parts * length) == head + body[:length] * parts


def test_a_body_in_chunks_arrives_whole(served: Served) -> None:
    with served.connected(answering(start(None), part(b"one", more=True), part(b"", more=True), part(b"two"))) as one:
        asked(one)
        expected = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        assert read(one, len(expected)) == expected


def test_requests_that_are_sent_together_are_answered_in_their_order(served: Served) -> None:
    async def echo(_scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        await send(start(len(body)))
        await send(part(body))

    with served.connected(echo) as connection:
        request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d"
        connection.sendall(b"".join(request % number for number in range(5)))
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d"
        expected = b"".join(answer % number for number in range(5))
        assert read(connection, len(expected)) == expected


def test_who_waits_to_be_told_to_go_on_is_told(served: Served) -> None:
    with served.connected(answering(start(2), part(b"ok"))) as connection:
        asked(connection, "POST", "Content-Length: 3\r\nExpect: 100-continue\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert read(connection, 40) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def test_a_head_is_sent_before_the_connection_is_closed(served: Served) -> None:
    with served.connected(answering(start(5))) as connection:
        asked(connection)
        assert read(connection, 1000) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


def test_who_does_not_read_is_not_written_to_without_bounds(served: Served) -> None:
    piece, pieces = bytes(64 * 1024), 500
    sent = 0

    async def much(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal sent
        await send(start(pieces * len(piece)))
        for number in range(1, pieces + 1):
            await send(part(piece, more=number < pieces))
            sent = number

    with served.connected(much) as connection:
        asked(connection)
        assert eventually(lambda: any(each.flow.write_paused for each in open_connections(served)), RETRIES)
        assert sent < pieces
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (pieces * len(piece))
        assert len(read(connection, len(head) + pieces * len(piece))) == len(head) + pieces * len(piece)


def open_connections(served: Served) -> list[Any]:
    return list(served.server._server.server_state.connections)


class Written(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.writes.append(b"(closed)")


def test_what_is_held_goes_at_the_end_of_the_turn_of_the_loop() -> None:
    written = Written()

    async def run() -> None:
        joined = JoinedWrites(written, asyncio.get_running_loop())
        joined.write(b"1")
        joined.hold_next()
        joined.write(b"2")
        assert written.writes == [b"1"]
        await asyncio.sleep(0)
        assert written.writes == [b"1", b"2"]
        joined.write(b"3")
        joined.hold_next()
        joined.write(b"4")
        joined.write(b"5")
        joined.write(b"")
        joined.hold_next()
        joined.write(b"6")
        joined.close()

    asyncio.run(run())
    assert written.writes == [b"1", b"2", b"3", b"45", b"6", b"(closed)"]
