"""The HTTP client of the store drivers, against sockets that do what a test says."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from glimpse.stores.connections import ConnectionFailed, Connections, Interruption, Limits, incoming

#: Short, so that tests of silent servers end soon.
LIMITS = Limits(connect=0.5, silence=0.5, answer=0.5)
MIB = 1 << 20

Respond = Callable[[socket.socket], None]


class Server:
    """Accepts connections one after the other, and does with each what its turn says; keeps the heads received."""

    def __init__(self, turns: tuple[Respond, ...], tls: ssl.SSLContext | None) -> None:
        self.heads: list[bytes] = []
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.authority = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.authority}/"
        self._thread = threading.Thread(target=self._run, args=(turns,), daemon=True)
        self._thread.start()

    def _run(self, turns: tuple[Respond, ...]) -> None:
        for turn in turns:
            connection, _ = self._listening.accept()
            try:
                with self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as used:
                    turn(used)
            except OSError:
                continue  # the client has gone

    def head(self, connection: socket.socket) -> bytes:
        """Receive one request without a body."""
        head = b""
        while b"\r\n\r\n" not in head and (data := connection.recv(1)):
            head += data
        self.heads.append(head)
        return head

    def close(self) -> None:
        self._listening.close()
        self._thread.join(5)
        assert not self._thread.is_alive()


@contextmanager
def serving(*turns: Callable[[Server, socket.socket], None], tls: ssl.SSLContext | None = None) -> Generator[Server]:
    holder: list[Server] = []
    server = Server(tuple(lambda sock, turn=turn: turn(holder[0], sock) for turn in turns), tls)
    holder.append(server)
    try:
        yield server
    finally:
        server.close()


def sends(*pieces: bytes, pause: float = 0.0, more: int = 1) -> Callable[[Server, socket.socket], None]:
    """Answer ``more`` requests on a connection with these pieces, then close it."""

    def respond(server: Server, connection: socket.socket) -> None:
        for _ in range(more):
            server.head(connection)
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)

    return respond


def ok(body: bytes = b"", *fields: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *fields, "", ""]).encode() + body


def hangs(server: Server, connection: socket.socket) -> None:
    server.head(connection)
    time.sleep(1.5)


def failure(server: Server, body: bytes = b"", limits: Limits = LIMITS, **options: object) -> ConnectionFailed:
    connections = Connections(limits, **options)  # pyright: ignore[reportArgumentType]
    started = time.monotonic()
    with pytest.raises(ConnectionFailed) as caught:
        connections.request("PUT" if body else "GET", server.url, {}, body)
    assert time.monotonic() - started < 3
    connections.close()
    assert "127.0.0.1" not in str(caught.value)
    return caught.value


# --------------------------------------------------------------------------------------------------- requests


def test_what_is_sent():
    with serving(sends(ok(b"data", "ETag: e"))) as server:
        connections = Connections(LIMITS)
        answer = connections.request("GET", server.url.replace("//", "//user@") + "a%20b?c=d", {"X-Token": "é"})
        connections.close()
    assert (answer.status, answer.headers["etag"], answer.body) == (200, "e", b"data")
    lines = ["GET /a%20b?c=d HTTP/1.1", f"Host: {server.authority}", "X-Token: é", "", ""]
    assert server.heads == ["\r\n".join(lines).encode("latin-1")]


def test_host_and_length_of_the_caller_are_kept():
    with serving(sends(ok())) as server:
        connections = Connections(LIMITS)
        connections.request("POST", server.url, {"host": "other", "content-length": "0"})
        connections.close()
    assert server.heads == [b"POST / HTTP/1.1\r\nhost: other\r\ncontent-length: 0\r\n\r\n"]


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("ftp://127.0.0.1/", {}),
        ("http:///path", {}),
        ("http://127.0.0.1:x/", {}),
        ("http://127.0.0.1/a b", {}),
        ("http://127.0.0.1/é", {}),
        ("http://127.0.0.1/", {"X": "a\r\nY: b"}),
        ("http://127.0.0.1/", {"X\r\nY": "b"}),
        ("http://127.0.0.1/", {"X": "€"}),
    ],
)
def test_requests_that_cannot_be_sent(url: str, headers: dict[str, str]):
    with pytest.raises(ConnectionFailed, match=r"not valid|not allow"):
        Connections(LIMITS).request("GET", url, headers)


def test_a_redirect_is_an_answer():
    with serving(sends(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")) as server:
        connections = Connections(LIMITS)
        assert connections.request("GET", server.url, {}).status == 302
        connections.close()


def test_interim_answers_are_skipped():
    with serving(
        sends(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", ok(b"x"))
    ) as server:
        connections = Connections(LIMITS)
        assert connections.request("GET", server.url, {}).body == b"x"
        connections.close()


# ------------------------------------------------------------------------------------------ silence and failure


def test_a_server_that_does_not_answer():
    with serving(hangs) as server:
        assert failure(server).timed_out


def test_the_whole_head_has_one_deadline():
    with serving(sends(*[b"H"] * 30, pause=0.05)) as server:
        assert failure(server).timed_out


def test_one_answer_may_be_waited_for_longer():
    def late(server: Server, connection: socket.socket) -> None:
        server.head(connection)
        time.sleep(0.8)
        connection.sendall(ok(b"late"))

    with serving(late) as server:
        connections = Connections(LIMITS)
        assert connections.request("GET", server.url, {}, wait=5).body == b"late"
        connections.close()


def test_a_server_that_takes_no_data():
    with serving(hangs) as server:
        assert failure(server, bytes(32 * MIB)).timed_out


def test_a_server_that_becomes_silent_in_the_body():
    def silent(server: Server, connection: socket.socket) -> None:
        server.head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        time.sleep(1.5)

    with serving(silent) as server:
        connections = Connections(LIMITS)
        with connections.open("GET", server.url, {}) as stream:
            assert stream.read(10) == b"12345"
            with pytest.raises(ConnectionFailed) as caught:
                stream.read(10)
        assert caught.value.timed_out
        connections.close()


@pytest.mark.parametrize("head", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
def test_a_body_that_comes_too_slowly(head: bytes):
    limits = Limits(connect=1, silence=1, answer=1, least_rate=1000, rate_window=0.5)
    piece = b"1\r\nx\r\n" if b"chunked" in head else b"x"
    with serving(sends(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n", *[piece] * 40, pause=0.05)) as server:
        error = failure(server, limits=limits)
        assert error.timed_out


def test_a_server_that_speaks_another_protocol():
    with serving(sends(b"220 mail\r\n")) as server:
        assert "no valid answer" in str(failure(server))


def test_a_server_that_closes_the_connection():
    with serving(sends()) as server:
        assert "closed the connection" in str(failure(server))
    assert "refuses" in str(failure(server))


def test_a_host_name_that_does_not_exist():
    with pytest.raises(ConnectionFailed, match=r"resolved|in time"):
        Connections(LIMITS).request("GET", "http://name.invalid/", {})


@pytest.mark.parametrize(
    "answer",
    [b"Content-Length: 10\r\n\r\n12345", b"Transfer-Encoding: chunked\r\n\r\n3\r\n123\r\n5\r\n12"],
    ids=["length", "chunked"],
)
def test_a_body_that_breaks_off(answer: bytes):
    with serving(sends(b"HTTP/1.1 200 OK\r\n" + answer)) as server:
        assert "closed the connection" in str(failure(server))


def test_the_end_of_a_body_without_length_is_not_certain():
    with serving(sends(b"HTTP/1.1 200 OK\r\n\r\n12345")) as server:
        connections = Connections(LIMITS)
        with connections.open("GET", server.url, {}) as stream:
            assert not stream.is_delimited
            assert stream.whole().body == b"12345"
        connections.close()


def test_an_answer_before_the_end_of_the_body():
    def refuse(server: Server, connection: socket.socket) -> None:
        server.head(connection)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(MIB):
            pass

    with serving(refuse) as server:
        connections = Connections(Limits(connect=2, silence=2, answer=2))
        assert connections.request("PUT", server.url, {}, bytes(32 * MIB)).status == 413
        connections.close()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"])
def test_a_server_that_ends_its_side_and_takes_no_more_data(answer: bytes, tls: bool, certificate: Path):
    """Nothing but its end of the connection tells that the body is sent in vain."""
    ended = threading.Event()

    def end(server: Server, connection: socket.socket) -> None:
        server.head(connection)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        ended.wait(30)

    with serving(end, tls=served_with(certificate) if tls else None) as server:
        connections = Connections(Limits(connect=20, silence=20, answer=20), ca_file=str(certificate))
        began = time.monotonic()
        if answer:
            assert connections.request("PUT", server.url, {}, bytes(32 * MIB)).status == 413
        else:
            with pytest.raises(ConnectionFailed, match="closed the connection"):
                connections.request("PUT", server.url, {}, bytes(32 * MIB))
        assert time.monotonic() - began < 10
        ended.set()
        connections.close()


@pytest.mark.parametrize(("status", "most"), [(200, 64), (500, 1)])
def test_whole_bodies_have_a_limit(status: int, most: int):
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {(most + 2) * MIB}\r\n\r\n".encode()
    with serving(sends(head, *[bytes(MIB)] * (most + 2))) as server:
        assert "too long" in str(failure(server, limits=Limits()))


# ------------------------------------------------------------------------------------------------------- bodies


@pytest.mark.parametrize("tls", [False, True])
def test_reads_are_filled(tls: bool, certificate: Path):
    body = bytes(range(256)) * 4096 * 5
    with serving(sends(ok(body)), tls=served_with(certificate) if tls else None) as server:
        connections = Connections(Limits(), ca_file=str(certificate))
        with connections.open("GET", server.url, {}) as stream:
            parts = list(iter(lambda: stream.read(MIB), b""))
        connections.close()
    assert [len(part) for part in parts] == [MIB] * 5
    assert b"".join(parts) == body


def test_the_last_bytes_of_a_long_body_and_a_short_answer_after_it_are_noticed_at_once(
    monkeypatch: pytest.MonkeyPatch,
):
    # the kernel wakes for many bytes from the first read on, whatever the size of its buffer
    monkeypatch.setattr(incoming, "_LEAST_BUFFER", 0)
    body = bytes(range(256)) * 4096 * 3

    def in_pieces(server: Server, connection: socket.socket) -> None:
        for rest in range(1, 6):
            server.head(connection)
            for piece in (ok(body)[:-rest], body[-rest:]):
                time.sleep(0.05)
                connection.sendall(piece)
        server.head(connection)
        connection.sendall(ok(b"short"))

    with serving(in_pieces) as server:
        connections = Connections(LIMITS)
        for _ in range(5):
            with connections.open("GET", server.url, {}) as stream:
                parts = list(iter(lambda: stream.read(MIB), b""))
            assert [len(part) for part in parts] == [MIB] * 3
            assert b"".join(parts) == body
        assert connections.request("GET", server.url, {}).body == b"short"
        connections.close()
    assert len(server.heads) == 6


@pytest.mark.parametrize("tls", [False, True])
def test_a_read_ends_after_a_second_with_what_it_has(tls: bool, certificate: Path):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"
    slow = sends(head, *[b"x"] * 40, pause=0.05)
    with serving(slow, tls=served_with(certificate) if tls else None) as server:
        connections = Connections(Limits(), ca_file=str(certificate))
        with connections.open("GET", server.url, {}) as stream:
            started = time.monotonic()
            first = stream.read(100)
            assert 0.5 < time.monotonic() - started < 2.2
            assert 0 < len(first) < 40
            assert first + stream.whole().body == b"x" * 40
        connections.close()


def test_what_came_before_a_break_is_returned_first():
    def breaks(server: Server, connection: socket.socket) -> None:
        server.head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        connection.sendall(b"12345")
        time.sleep(0.3)
        # a reset instead of an orderly end
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with serving(breaks) as server:
        connections = Connections(LIMITS)
        with connections.open("GET", server.url, {}) as stream:
            assert stream.read(10) == b"12345"
            with pytest.raises(ConnectionFailed):
                stream.read(10)
        connections.close()


# -------------------------------------------------------------------------------------------------- connections


def test_a_connection_is_used_again():
    with serving(sends(ok(b"x"), more=3)) as server:
        connections = Connections(LIMITS)
        assert [connections.request("GET", server.url, {}).body for _ in range(3)] == [b"x"] * 3
        connections.close()
    assert len(server.heads) == 3


def test_chunked_bodies_and_answers_to_head_leave_the_connection_usable():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

    def respond(server: Server, connection: socket.socket) -> None:
        for answer in (chunked, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ok(b"x")):
            server.head(connection)
            connection.sendall(answer)

    with serving(respond) as server:
        connections = Connections(LIMITS)
        assert connections.request("GET", server.url, {}).body == b"abc"
        assert connections.request("HEAD", server.url, {}).headers["content-length"] == "5"
        assert connections.request("GET", server.url, {}).body == b"x"
        connections.close()


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"x", "Connection: close"),
        ok(b"x") + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nrest",
    ],
    ids=["closes", "too-much", "too-much-chunked"],
)
def test_connections_that_are_not_used_again(answer: bytes):
    def respond(server: Server, connection: socket.socket) -> None:
        server.head(connection)
        connection.sendall(answer)
        assert connection.recv(1) == b""

    with serving(respond, sends(ok(b"y"))) as server:
        connections = Connections(LIMITS)
        assert connections.request("GET", server.url, {}).body == b"x"
        assert connections.request("GET", server.url, {}).body == b"y"
        connections.close()


def test_a_stream_that_is_closed_in_the_middle_closes_its_connection():
    with serving(sends(ok(b"12345")), sends(ok(b"y"))) as server:
        connections = Connections(LIMITS)
        stream = connections.open("GET", server.url, {})
        assert stream.read(1) == b"1"
        stream.close()
        stream.close()
        with pytest.raises(ConnectionFailed):
            stream.read(1)
        assert connections.request("GET", server.url, {}).body == b"y"
        connections.close()


def test_an_idle_connection_that_the_server_has_closed_is_replaced():
    with serving(sends(ok(b"x")), sends(ok(b"y"))) as server:
        connections = Connections(LIMITS)
        assert connections.request("GET", server.url, {}).body == b"x"
        assert connections.request("PUT", server.url, {}, b"body").body == b"y"
        connections.close()


def test_a_request_that_meets_the_end_of_an_idle_connection_is_sent_again():
    def closes_when_asked(server: Server, connection: socket.socket) -> None:
        sends(ok(b"x"))(server, connection)
        server.head(connection)

    with serving(closes_when_asked, sends(ok(b"y"))) as server:
        connections = Connections(LIMITS)
        assert connections.request("GET", server.url, {}).body == b"x"
        assert connections.request("GET", server.url, {}).body == b"y"
        connections.close()
    assert len(server.heads) == 3


def test_no_connection_is_kept_after_closing():
    def respond(server: Server, connection: socket.socket) -> None:
        sends(ok(b"x"))(server, connection)
        assert connection.recv(1) == b""

    with serving(respond) as server:
        connections = Connections(LIMITS)
        stream = connections.open("GET", server.url, {})
        connections.close()
        assert stream.whole().body == b"x"
        stream.close()


def test_a_request_that_is_being_sent_can_be_interrupted():
    began = threading.Event()
    ended = threading.Event()

    def takes_nothing(server: Server, connection: socket.socket) -> None:
        server.head(connection)
        began.set()
        ended.wait(10)

    with serving(takes_nothing) as server, ThreadPoolExecutor(1) as threads:
        connections = Connections(Limits())
        interruption = Interruption()
        sending = threads.submit(connections.request, "PUT", server.url, {}, bytes(32 * MIB), interruption=interruption)
        assert began.wait(5)
        interruption.interrupt()
        assert isinstance(sending.exception(3), ConnectionFailed)
        ended.set()
        with pytest.raises(ConnectionFailed, match="interrupted"):
            connections.request("GET", server.url, {}, interruption=interruption)
        connections.close()


def test_a_request_that_was_sent_is_answered_in_spite_of_an_interruption():
    began = threading.Event()
    interrupted = threading.Event()

    def answers_late(server: Server, connection: socket.socket) -> None:
        server.head(connection)
        assert connection.recv(10) == b"body"
        began.set()
        assert interrupted.wait(5)
        connection.sendall(ok(b"done"))

    with serving(answers_late) as server, ThreadPoolExecutor(1) as threads:
        connections = Connections(Limits())
        interruption = Interruption()
        sending = threads.submit(connections.request, "PUT", server.url, {}, b"body", interruption=interruption)
        assert began.wait(5)
        interruption.interrupt()
        interrupted.set()
        assert sending.result(5).body == b"done"
        connections.close()


# ---------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


def served_with(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_certificates_are_verified(certificate: Path):
    with serving(sends(ok(b"x")), tls=served_with(certificate)) as server:
        assert "certificate cannot be verified" in str(failure(server))


@pytest.mark.parametrize("verify", [True, False])
def test_certificates_that_are_trusted(verify: bool, certificate: Path):
    with serving(sends(ok(b"x"), more=2), tls=served_with(certificate)) as server:
        connections = Connections(LIMITS, verify=verify, ca_file=str(certificate) if verify else None)
        assert [connections.request("GET", server.url, {}).body for _ in range(2)] == [b"x", b"x"]
        connections.close()


def test_a_file_of_certificates_that_cannot_be_used(tmp_path: Path):
    (tmp_path / "empty").touch()
    for name in ("empty", "missing"):
        with pytest.raises(ConnectionFailed, match="CA certificates"):
            Connections(LIMITS, ca_file=str(tmp_path / name)).request("GET", "https://127.0.0.1:1/", {})
