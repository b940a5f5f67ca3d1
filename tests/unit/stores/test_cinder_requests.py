"""What answers of Cinder mean for a store, against a small HTTP server."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from glimpse.errors import AccessDenied, DataNotFound, StoreFull, StoreUnavailable
from glimpse.settings.model import Secret
from glimpse.stores.cinder.api import CinderApi, Rejected
from glimpse.stores.cinder.credentials import Access, Credentials
from glimpse.stores.cinder.options import CinderOptions
from glimpse.stores.cinder.volumes import Volumes


class Handler(BaseHTTPRequestHandler):
    #: the answers to give, as status and body; the last one is repeated
    answers: ClassVar[list[tuple[int, Any]]]
    requests: ClassVar[list[tuple[str, str, dict[str, str]]]]

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.requests.append((self.command, self.path, dict(self.headers)))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Handler], str]]:
    class Own(Handler):
        answers: ClassVar[list[tuple[int, Any]]] = [(200, {})]
        requests: ClassVar[list[tuple[str, str, dict[str, str]]]] = []

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    thread = threading.Thread(target=serving.serve_forever, args=(0.05,))
    thread.start()
    yield Own, f"http://127.0.0.1:{serving.server_port}/v3/p"
    serving.shutdown()
    thread.join()
    serving.server_close()


def _api(**options: Any) -> CinderApi:
    found = CinderOptions(cinder_store_timeout=1, cinder_http_retries=2, **options)
    return CinderApi("vol", found, Credentials("vol", found))


def _access(endpoint: str) -> Access:
    return Access(Secret("made-up-token"), endpoint, "p", own=False)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (409, Rejected),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, DataNotFound),
        (413, StoreFull),
        (418, AccessDenied),
        (429, StoreUnavailable),
        (500, StoreUnavailable),
        (503, StoreUnavailable),
    ],
)
def test_statuses(server: tuple[type[Handler], str], status: int, kind: type[Exception]) -> None:
    handler, url = server
    handler.answers = [(status, {"fault": {"message": "The reason.", "code": status}})]
    api = _api()
    with pytest.raises(kind) as caught:
        api.get(_access(url), "/volumes/x")
    assert type(caught.value) is kind
    if status < 429:
        assert "The reason." in str(caught.value)
    assert "made-up-token" not in str(caught.value)
    api.close()


def test_headers_and_pages(server: tuple[type[Handler], str]) -> None:
    handler, url = server
    page = [{"id": str(number), "status": "available", "size": 1, "created_at": "x"} for number in range(500)]
    handler.answers = [(200, {"volumes": page}), (200, {"volumes": page[:3]})]
    api = _api()
    volumes = Volumes(api, _access(url), timeout=1, attempts=1)
    assert len(list(volumes.all())) == 503
    first, second = handler.requests
    assert "marker=499" in second[1]
    assert "marker" not in first[1]
    headers = {name.lower(): value for name, value in first[2].items()}
    assert headers["openstack-api-version"] == "volume 3.54"
    assert headers["x-auth-token"] == "made-up-token"
    api.close()


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"", {"fault": "text"}])
def test_errors_without_a_message_of_cinder(server: tuple[type[Handler], str], body: object) -> None:
    handler, url = server
    handler.answers = [(400, body)]
    api = _api()
    with pytest.raises(Rejected, match="no message"):
        api.get(_access(url), "/volumes/x")
    api.close()


def test_an_answer_that_is_not_json(server: tuple[type[Handler], str]) -> None:
    handler, url = server
    handler.answers = [(200, b"<html>")]
    api = _api()
    with pytest.raises(StoreUnavailable):
        api.get(_access(url), "/volumes/x")
    api.close()


def test_attaching_is_repeated_only_while_the_volume_is_in_use(
    server: tuple[type[Handler], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, url = server
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    in_use = (400, {"badRequest": {"message": "Invalid volume: status must be available or downloading to reserve"}})
    described = {"id": "v", "status": "reserved", "size": 1, "created_at": "x"}
    looked_at = (200, {"volume": described})
    handler.answers = [looked_at, in_use, *[in_use, looked_at] * 4, (200, {"attachment": {"id": "a"}})]
    api = _api()
    volumes = Volumes(api, _access(url), timeout=1, attempts=6)
    volume = volumes.get("v")
    assert volumes.attach(volume, writable=False) == "a"
    assert waits == [2, 4, 8, 10, 10]
    assert len(handler.answers) == 1
    handler.answers = [(400, {"badRequest": {"message": "something else"}})]
    with pytest.raises(Rejected):
        volumes.attach(volume, writable=False)
    assert len(waits) == 5
    api.close()


def test_a_server_that_does_not_answer_costs_the_timeout_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = _api()
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            api.get(_access(f"http://127.0.0.1:{silent.getsockname()[1]}"), "/volumes/x")
        assert time.monotonic() - started < 4
        api.close()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
    api = _api()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        api.call(_access(f"http://127.0.0.1:{port}"), "POST", "/volumes", {})
    api.close()


def test_an_endpoint_that_is_no_url() -> None:
    api = _api()
    with pytest.raises(AccessDenied, match="not valid"):
        api.get(_access("ftp://host"), "/volumes/x")
    api.close()
