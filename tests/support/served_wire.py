"""A service of this process behind a real HTTP server that authenticates by tokens, as the image service of a cloud."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.wire import Caller, Wire

_PASSED = ("range", "if-range", "accept")


class ServedWire:
    """``callers`` are the callers by token; without a token of these the answer is 401.

    The first ``breaks`` bodies of data end after a third of their bytes. ``sends_tags``: with entity tags and times.
    ``overrides`` are answers by path: a status, headers and a body.
    """

    def __init__(self, wire: Wire, callers: Mapping[str, Caller]) -> None:
        self.wire = wire
        self.callers = callers
        self.breaks = 0
        self.sends_tags = True
        self.overrides: dict[str, tuple[int, dict[str, str], bytes]] = {}
        #: method, path, token and range of each request
        self.requests: list[tuple[str, str, str | None, str | None]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Ask the service."""
        token = headers.get("X-Auth-Token")
        self.requests.append((method, path, token, headers.get("Range")))
        if path in self.overrides:
            return self.overrides[path]
        if token not in self.callers:
            return 401, {}, b""
        passed = {name: value for name, value in headers.items() if name.lower() in _PASSED}
        with self._lock:
            found = self.wire.as_(self.callers[token])(method, path, headers=passed)
        left_out = set() if self.sends_tags else {"etag", "last-modified"}
        return found.status, {name: v for name, v in found.headers.items() if name.lower() not in left_out}, found.body

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def served(wire: Wire, callers: Mapping[str, Caller]) -> Iterator[ServedWire]:
    """A server for the time of the block."""
    made = ServedWire(wire, callers)
    try:
        yield made
    finally:
        made.close()


def _handler_for(owner: ServedWire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = owner.answer("GET", self.path, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"content-length", "connection", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.path.endswith("/file") and owner.breaks:
                owner.breaks -= 1
                self.wfile.write(body[: len(body) // 3])
                self.close_connection = True
                self.connection.shutdown(2)
            else:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are kept by the server object."""

    return Handler
