"""Long responses that granian's worker writes to the socket itself, past granian."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from glimpse.launcher import descriptors, direct_responses
from glimpse.launcher.descriptors import accepted_connection
from tests.system.launcher_main import PART
from tests.system.launcher_service import Launched, eventually, read_all, request

pytestmark = [pytest.mark.system, pytest.mark.timeout(30)]

WHOLE = 128 * len(PART)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Launched]:
    with Launched(tmp_path, server="granian") as launched:
        yield launched.ready()


def answer(service: Launched, *requests: bytes) -> tuple[bytes, bytes]:
    """The head and the body of what comes until the connection ends."""
    with service.connect() as connection:
        connection.sendall(b"".join(requests))
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    return head.lower(), body


def test_a_long_response_is_complete_and_ends_its_connection(service: Launched) -> None:
    head, body = answer(service, request("GET", "/download"))
    assert head.startswith(b"http/1.1 200 ok\r\n")
    assert b"\r\nconnection: close" in head
    assert head.count(b"\r\ndate: ") == 1
    assert b"server: granian" not in head, "granian sent it"
    assert body == PART * 128


def test_nothing_follows_even_if_the_client_has_sent_another_request(service: Launched) -> None:
    """The connection may be reset, because the server closes it with a request unread; no byte of a second response."""
    with service.connect() as connection:
        connection.sendall(request("GET", "/download") + request("GET", "/pid"))
        time.sleep(0.2)
        received = bytearray()
        try:
            while part := connection.recv(1 << 20):
                received += part
        except ConnectionResetError:
            pass
    assert bytes(received).partition(b"\r\n\r\n")[2] == PART * 128


def test_a_failure_in_the_middle_adds_nothing(service: Launched) -> None:
    head, body = answer(service, request("GET", "/cut"))
    assert b"content-length: %d" % WHOLE in head
    assert body == PART


def test_a_client_of_http_1_0_is_served_by_granian(service: Launched) -> None:
    head, body = answer(service, b"GET /download HTTP/1.0\r\nHost: test\r\n\r\n")
    assert b"server: granian" in head
    assert len(body) == WHOLE


def test_a_client_that_leaves_ends_the_request(service: Launched) -> None:
    with service.connect() as connection:
        connection.sendall(request("GET", "/download"))
        assert connection.recv(1000)
    assert not service.events("sent") or service.events("sent")[-1]["parts"] < 128
    eventually(lambda: answer(service, request("GET", "/pid", "Connection: close"))[1] != b"")
    assert service.signal() is None
    assert service.wait() == 0


def test_heads_that_the_server_sends() -> None:
    def head(*headers: tuple[bytes, bytes]) -> bytes:
        return direct_responses.direct_head({"type": "http.response.start", "status": 206, "headers": headers})

    long = (b"content-length", b"%d" % direct_responses.DIRECT_BYTES)
    assert head(long, (b"etag", b'"a"')).startswith(
        b"HTTP/1.1 206 Partial Content\r\ncontent-length: 16777216\r\netag: "
    )
    assert head() == b""
    assert head((b"content-length", b"1000")) == b""
    assert head(long, (b"etag", b"a\r\nx: y")) == b""
    assert head(long, (b"a\nb", b"c")) == b""
    assert head(long, (b"transfer-encoding", b"chunked")) == b""


def test_which_connection_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        accepted, peer = listener.accept()
        port = listener.getsockname()[1]
        with accepted:
            found = accepted_connection(port, peer)
            assert found is not None
            with found:
                assert found.getpeername() == client.getsockname()
                assert found.fileno() != accepted.fileno()
                assert found.gettimeout() == 0
            assert accepted_connection(port, ("127.0.0.1", 1)) is None
            assert accepted_connection(port + 1, peer) is None
            monkeypatch.setattr(descriptors, "_MOST_SEARCHED", 1)
            assert accepted_connection(port, peer) is None
