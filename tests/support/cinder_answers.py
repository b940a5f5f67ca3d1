"""A small HTTP server that describes volumes as Cinder does, for tests of what is asked before any is attached."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Volumes:
    """Volumes by id with their type, the default type, and the paths that were asked for."""

    types: Mapping[str, str | None]
    default_type: str | None = None
    #: answered to each request, if set
    failure: int | None = None
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and body for a path after the project."""
        self.asked.append(path)
        if self.failure is not None:
            return self.failure, {}
        last = path.rpartition("/")[2]
        if path == "/types/default" and self.default_type is not None:
            return 200, {"volume_type": {"id": "1", "name": self.default_type}}
        if path.startswith("/volumes/") and last in self.types:
            volume = {"id": last, "status": "available", "size": 1, "created_at": "2026-01-01T00:00:00"}
            return 200, {"volume": {**volume, "volume_type": self.types[last]}}
        return 404, {"itemNotFound": {"message": "It is not there.", "code": 404}}


@contextmanager
def answering(volumes: Volumes) -> Iterator[Volumes]:
    """Serve ``volumes`` at its ``url``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = volumes.answer(self.path.removeprefix("/v3/p"))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    volumes.url = f"http://127.0.0.1:{server.server_port}/v3/p"
    try:
        yield volumes
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
