"""A real web server on loopback for tests that read URLs: correct and faulty behaviour over one set of files."""

from __future__ import annotations

import datetime
import ipaddress
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

#: URLs that users must not make the service fetch: of this host and its neighbours in all forms, or not of the web.
INWARD = (
    "http://127.0.0.1/", "http://localhost/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/",
    "https://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/", "http://[fe80::1]/",
    "http://2130706433/", "http://0177.0.0.1/", "http://017700000001/", "http://0x7f.1/", "http://0x7f000001/",
    "http://127.1/", "http://0/", "http://0.0.0.0/", "http://224.0.0.1/", "http://user@127.0.0.1/",
    "http://203.0.113.5@127.0.0.1/", "http://user:password@203.0.113.5/", "http://user@203.0.113.5/",
    "file:///etc/passwd", "gopher://203.0.113.5/", "ftp://203.0.113.5/", "data:,x", "http:///etc/passwd",
)  # fmt: skip

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class WebServer:
    """``files`` are served under several first parts of the path:

    ``files`` with ranges; ``norange`` always whole; ``chunked`` whole and without a length, ``cutchunked``
    likewise without the end, ``unmarked`` until the connection ends; ``nohead`` with 405 for
    HEAD; ``cut`` with half of the bytes announced; ``secret`` only with basic credentials user:secret; ``slow`` in
    pieces with ``pause`` seconds between; ``wrong`` with a part that was not asked for; from :meth:`hush` to
    :meth:`speak`, ``silent`` answers nothing but HEAD, and ``mute`` nothing at all; ``drip`` one byte of the body each
    ``pause`` seconds, ``drophead`` one byte of the head; ``broken`` with ranges and the entity tag ``tag``, of
            ranged = {"files", "secret", "wrong", "broken", "paced", "v2"}
            wanted = _RANGE.fullmatch(self.headers.get("Range", "")) if kind in ranged else None
            tag = {"ETag": owner.tag} if kind in {"broken", "paced", "v2"} else {}
    """

    def __init__(self, *, address: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, bytes] = {}
        #: method, path, Host and the header Authorization of each request
        self.requests: list[tuple[str, str, str, str | None]] = []
        #: the header Range of each request
        self.ranges: list[str | None] = []
        #: files that are answered 403
        self.forbidden: set[str] = set()
        self.pause = 0.05
        self._speaks = threading.Event()
        self._speaks.set()
        self.slow_part = 64 << 10
        #: bytes of ``slow`` and ``paced`` bodies that were sent
        self.sent = 0
        self.tag = '"v1"'
        self.breaks = 0
        self._server = ThreadingHTTPServer((address, 0), _handler_for(self))
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "http" if context is None else "https"
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def url(self, kind: str, name: str = "", host: str = "localhost") -> str:
        """The address of a file."""
        return f"{self.scheme}://{host}:{self.port}/{kind}/{name}"

    def hush(self) -> None:
        """Let ``silent`` and ``mute`` answers wait."""
        self._speaks.clear()

    def speak(self) -> None:
        """Let them go on."""
        self._speaks.set()

    def wait_for_speech(self) -> None:
        """Return at once, but after :meth:`hush` only when it speaks again."""
        self._speaks.wait(60)

    def close(self) -> None:
        self.speak()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(**settings: object) -> Iterator[WebServer]:
    """A server for the time of the block."""
    server = WebServer(**settings)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()


def _handler_for(owner: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            """Requests are kept by the server object."""

        def _answer(self) -> None:
            owner.requests.append((self.command, self.path, self.headers["Host"], self.headers["Authorization"]))
            owner.ranges.append(self.headers["Range"])
            parts = urlsplit(self.path)
            _, kind, *rest = parts.path.split("/")
            name = "/".join(rest)
            data = owner.files.get(name)
            if kind == "mute" or (kind == "silent" and self.command != "HEAD"):
                owner.wait_for_speech()
            if kind == "drophead":
                for byte in b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 4000:
                    self.wfile.write(bytes((byte,)))
                    time.sleep(owner.pause)
                self.close_connection = True
            elif kind == "redirect":
                self._head(int(name), {"Location": parse_qs(parts.query)["to"][0], "Content-Length": "0"})
            elif kind == "status":
                self._head(int(name), {"Content-Length": "0"})
            elif kind == "nohead" and self.command == "HEAD":
                self._head(405, {"Content-Length": "0"})
            elif kind == "secret" and self.headers["Authorization"] != "Basic dXNlcjpzZWNyZXQ=":
                self._head(401, {"Content-Length": "0"})
            elif name in owner.forbidden:
                self._head(403, {"Content-Length": "0"})
            elif data is None:
                self._head(404, {"Content-Length": "0"})
            else:
                self._send(kind, data)

        def _send(self, kind: str, data: bytes) -> None:
            if kind in {"chunked", "cutchunked"}:
                self._head(200, {"Transfer-Encoding": "chunked"})
                if self.command == "GET":
                    for start in range(0, len(data), 10_000):
                        part = data[start : start + 10_000]
                        self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                    self.wfile.write(b"0\r\n\r\n" if kind == "chunked" else b"")
                self.close_connection = kind == "cutchunked"
                return
            if kind == "unmarked":
                self._head(200, {"Connection": "close"})
                self._body(kind, data)
                self.close_connection = True
                return
            ranged = {"files", "secret", "wrong", "broken", "paced", "v2"}
            wanted = _RANGE.fullmatch(self.headers.get("Range", "")) if kind in ranged else None
            tag = {"ETag": owner.tag} if kind in {"broken", "paced", "v2"} else {}
            if self.headers.get("If-Range", owner.tag) != owner.tag:
                wanted = None
            if wanted is None:
                self._head(200, {"Content-Length": str(len(data)), "Accept-Ranges": "bytes", **tag})
                self._body(kind, data)
                return
            start, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
            if start >= len(data):
                self._head(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
                return
            shift = 1 if kind == "wrong" else 0
            part = data[start : last + 1]
            fields = {"Content-Range": f"bytes {start + shift}-{last}/{len(data)}", "Content-Length": str(len(part))}
            self._head(206, {**fields, **tag})
            self._body(kind, part)

        def _body(self, kind: str, data: bytes) -> None:
            if self.command == "HEAD":
                return
            breaks = (kind == "broken" or self.path.endswith("/file")) and owner.breaks > 0
            if kind == "cut" or breaks:
                owner.breaks -= breaks
                self.wfile.write(data[: len(data) // 3])
                self.close_connection = True
                self.connection.shutdown(2)
            elif kind == "drip":
                for byte in data:
                    self.wfile.write(bytes((byte,)))
                    time.sleep(owner.pause)
            elif kind in {"slow", "paced"}:
                for start in range(0, len(data), owner.slow_part):
                    part = data[start : start + owner.slow_part]
                    self.wfile.write(part)
                    owner.sent += len(part)
                    time.sleep(owner.pause)
            else:
                self.wfile.write(data)

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, ssl.SSLError, TimeoutError):
                self.close_connection = True

    return Handler


def certificate(directory: Path, name: str = "localhost") -> tuple[ssl.SSLContext, Path]:
    """A server's context with a self-signed certificate for ``name``, and the file of the certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name[0].isdigit():
        names = [x509.IPAddress(ipaddress.ip_address(name))]
    moment = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - datetime.timedelta(hours=1))
        .not_valid_after(moment + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{name}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = directory / f"{name}.key"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, secret)
    return context, path
