"""What Nova asks Neutron although its servers have no network: lists, which are empty here.

usage: network_stub.py PORT
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers GET with the version document or with an empty list."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").removesuffix(".json").split("/")
        if parts in ([""], ["v2.0"]):
            link = {"rel": "self", "href": f"http://{self.headers.get('Host')}/v2.0/"}
            self.answer(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]})
        elif len(parts) == 2:
            self.answer(200, {parts[1].replace("-", "_"): []})
        else:
            self.answer(404, {"NeutronError": {"type": "NotFound", "message": self.path, "detail": ""}})

    def log_message(self, *_: object) -> None:
        """Nova's own log says what it asked."""


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
