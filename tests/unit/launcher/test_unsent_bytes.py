"""How much waits in the kernel for a client, by the size of the parts that it gets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from glimpse.asgi import Message, Receive, Scope, Send
from glimpse.launcher import direct_responses
from glimpse.launcher.direct_responses import DirectResponses
from glimpse.launcher.listeners import TCP_NOTSENT_LOWAT

MIB = 1 << 20
SCOPE = {"type": "http", "method": "GET", "http_version": "1.1", "client": ("127.0.0.1", 1), "headers": []}


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the client's end of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    with client, server:
        yield server, client


def test_more_waits_for_a_fast_client_and_less_again_when_it_becomes_slow(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = pair
    duplicate = server.dup()
    duplicate.setblocking(False)
    monkeypatch.setattr(direct_responses, "accepted_connection", lambda *_: duplicate)
    found: list[int] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % (20 * MIB))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for size in (16 << 10, 2 * MIB, 16 << 10):
            await send({"type": "http.response.body", "body": bytes(size), "more_body": True})
            found.append(server.getsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT))

    async def to_server(_message: Message) -> None:
        pytest.fail("the server got the response")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def main() -> None:
        reading = asyncio.create_task(asyncio.to_thread(_read, client))
        await DirectResponses(app, 1)(dict(SCOPE), receive, to_server)
        assert await reading > 2 * MIB

    asyncio.run(main())
    unchanged = found[0]
    assert found == [unchanged, 2 * MIB, 512 << 10]


def _read(client: socket.socket) -> int:
    total = 0
    while part := client.recv(MIB):
        total += len(part)
    return total
