"""A server with the three answers of Keystone that a token needs, for what a real one does not do on demand.

It counts what it is asked, and gives broken answers when told so. Tokens that work are tested against a real Keystone
in tests/interop.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

with warnings.catch_warnings():
    # WebOb, which keystonemiddleware needs, imports a module that Python 3.11 and 3.12 warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    import webob.compat  # noqa: F401

SERVICE = "token-of-glance"


class Keystone(ThreadingHTTPServer):
    """``tokens`` are the documents of tokens by their text; ``trouble`` says how validation fails for all of them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.tokens: dict[str, dict[str, Any]] = {}
        self.trouble: str | None = None
        self.asked: Counter[str] = Counter()
        #: validations wait for it
        self.go = threading.Event()
        self.go.set()

    def add(self, token: str, *, seconds: float = 3600, roles: tuple[str, ...] = ("Member",), **more: Any) -> None:
        """Know a token that expires in ``seconds``."""
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        self.tokens[token] = {
            "methods": ["password"],
            "user": {"id": f"user of {token}", "name": "u", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": "p1", "name": "p", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": name, "name": name} for name in roles],
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            **more,
        }

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are part of the tests."""


class _Answers(BaseHTTPRequestHandler):
    server: Keystone

    def do_GET(self) -> None:
        if not self.path.startswith("/v3/auth/tokens"):
            link = {"rel": "self", "href": f"{self.server.url}/v3"}
            version = {"id": "v3.14", "status": "stable", "links": [link], "media-types": []}
            self._send(
                200, {"version": version} if self.path.startswith("/v3") else {"versions": {"values": [version]}}
            )
            return
        token = self.headers["X-Subject-Token"]
        self.server.asked[token] += 1
        self.server.go.wait(10)
        match self.server.trouble:
            case "closes":
                self.close_connection = True
                return
            case "html":
                self._reply(200, b"<html>the proxy is well</html>", "text/html")
                return
            case "no token":
                self._send(200, {"nothing": True})
                return
            case None | "login":
                pass
            case status:
                self._send(int(status), {"error": {"code": int(status), "message": "trouble"}})
                return
        known = self.server.tokens.get(token)
        expired = known is not None and known["expires_at"] < datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if known is None or (expired and "allow_expired=1" not in self.path):
            self._send(404, {"error": {"code": 404, "message": "Could not find token"}})
        else:
            self._send(200, {"token": known})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked["POST"] += 1
        trouble = self.server.trouble or ""
        if trouble.startswith("login"):
            status = int(trouble.removeprefix("login") or 401)
            self._send(status, {"error": {"code": status, "message": "No token for you"}})
            return
        endpoint = {"interface": "internal", "url": f"{self.server.url}/v3", "region": "R", "region_id": "R", "id": "e"}
        catalog = [{"type": "identity", "name": "keystone", "id": "s", "endpoints": [endpoint]}]
        self.server.add(SERVICE, roles=("service",), catalog=catalog)
        self._send(201, {"token": self.server.tokens[SERVICE]}, {"X-Subject-Token": SERVICE})

    def _send(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        self._reply(status, json.dumps(document).encode(), "application/json", headers)

    def _reply(self, status: int, body: bytes, media_type: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": media_type, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def keystone_server() -> Iterator[Keystone]:
    """A running server."""
    server = Keystone()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.go.set()
        server.shutdown()
        thread.join()
        server.server_close()


def sections(url: str, **options: str) -> dict[str, dict[str, Any]]:
    """``[keystone_authtoken]`` for it; ``options`` replace single ones."""
    return {
        "keystone_authtoken": {
            "www_authenticate_uri": "http://keystone.example.org:5000",
            "auth_type": "password",
            "auth_url": url,
            "username": "glance",
            "password": "word",
            "project_name": "service",
            "user_domain_id": "default",
            "project_domain_id": "default",
            "http_request_max_retries": "0",
            **options,
        }
    }
