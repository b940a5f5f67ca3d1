"""Requests of Swift stores against a server that answers as the test says: tokens, repetitions, errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from glimpse.errors import AccessDenied, DataNotFound, DeletionDenied, StoreFull, StoreUnavailable
from glimpse.settings.model import Secret
from glimpse.stores.connections import Limits
from glimpse.stores.swift.options import SwiftOptions
from glimpse.stores.swift.single_tenant import SingleTenantStore
from glimpse.stores.swift.store import Tuning

IMAGE = "fdae39a1-bac5-4238-aba4-69bcc726e848"


class Scripted(ThreadingHTTPServer):
    """Answers logins of all versions, and other requests with what ``answers`` has next, at last 404."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: list[tuple[str, str, str | None]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.lifetime = 3600.0
        self.logins = 0
        self.login_status = 200

    def login(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.logins += 1
        token, storage = f"token{self.logins}", f"{self.url}/v1/AUTH_1"
        until = (datetime.now(UTC) + timedelta(seconds=self.lifetime)).isoformat()
        if path == "/auth/v1.0":
            headers = {"X-Auth-Token": token, "X-Storage-Url": storage, "X-Auth-Token-Expires": str(self.lifetime)}
            return self.login_status, headers, b""
        if path == "/v2.0/tokens":
            services = [{"type": "object-store", "endpoints": [{"publicURL": storage, "region": "one"}]}]
            access = {"token": {"id": token, "expires": until}, "serviceCatalog": services}
            return self.login_status, {}, json.dumps({"access": access}).encode()
        endpoints = [{"interface": "public", "url": f"{storage}{region}", "region": region} for region in ("", "two")]
        body = {
            "token": {
                "expires_at": until,
                "user": {"id": "u1"},
                "catalog": [{"type": "object-store", "endpoints": endpoints}],
            }
        }
        return self.login_status, {"X-Subject-Token": token}, json.dumps(body).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.endswith(("/tokens", "/auth/v1.0")):
            status, headers, body = self.server.login(self.path)
        else:
            self.server.requests.append((self.command, self.path, self.headers.get("X-Auth-Token")))
            status, headers, body = self.server.answers.pop(0) if self.server.answers else (404, {}, b"")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - names of the library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    made = Scripted()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@contextmanager
def _store(server: Scripted, version: str = "1", **changes: object) -> Iterator[SingleTenantStore]:
    path = {"1": "/auth/v1.0", "2": "", "3": "/v3"}[version]
    options = SwiftOptions(
        swift_store_auth_address=server.url + path,
        swift_store_auth_version=version,  # pyright: ignore[reportArgumentType]
        swift_store_user="project:user",
        swift_store_key=Secret("secret"),
        **changes,  # pyright: ignore[reportArgumentType]
    )
    store = SingleTenantStore("objects", options, Tuning(limits=Limits(connect=2, silence=2, answer=2)))
    yield store
    store.close()


def _size(store: SingleTenantStore) -> int | None:
    return store.size(store.url_prefixes[0] + IMAGE)


def _found(size: int = 5) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Length": str(size)}, b""


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_a_token_is_used_for_many_requests(server: Scripted, version: str):
    with _store(server, version) as store:
        server.answers += [_found(), _found(6)]
        assert [_size(store), _size(store)] == [5, 6]
    assert server.logins == 1
    assert server.requests == [("HEAD", f"/v1/AUTH_1/glance/{IMAGE}", "token1")] * 2


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_a_token_is_renewed_before_it_expires(server: Scripted, version: str):
    server.lifetime = 50
    with _store(server, version) as store:
        server.answers += [_found(), _found()]
        _size(store)
        _size(store)
    assert [token for _, _, token in server.requests] == ["token1", "token2"]


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_a_token_that_is_refused_is_renewed_once(server: Scripted, version: str):
    with _store(server, version) as store:
        server.answers += [(401, {}, b""), _found(), (401, {}, b""), (401, {}, b"")]
        assert _size(store) == 5
        with pytest.raises(AccessDenied):
            _size(store)
    assert [token for _, _, token in server.requests] == ["token1", "token2", "token2", "token3"]


@pytest.mark.parametrize("version", ["1", "2", "3"])
@pytest.mark.parametrize(("status", "kind"), [(401, AccessDenied), (403, AccessDenied), (503, StoreUnavailable)])
def test_logins_that_fail(server: Scripted, version: str, status: int, kind: type[Exception]):
    server.login_status = status
    with _store(server, version) as store, pytest.raises(kind) as caught:
        _size(store)
    assert "secret" not in str(caught.value)
    assert server.url not in str(caught.value)


def test_the_endpoint_is_the_one_of_the_options(server: Scripted):
    for changes in ({"swift_store_region": "two"}, {"swift_store_endpoint": f"{server.url}/v1/AUTH_1two/"}):
        with _store(server, "3", **changes) as store:
            server.answers.append(_found())
            assert _size(store) == 5
    assert [path for _, path, _ in server.requests] == [f"/v1/AUTH_1two/glance/{IMAGE}"] * 2
    for changes in ({"swift_store_region": "three"}, {"swift_store_service_type": "other"}):
        with _store(server, "3", **changes) as store, pytest.raises(AccessDenied, match="catalog"):
            _size(store)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, AccessDenied),
        (403, AccessDenied),
        (404, DataNotFound),
        (408, StoreUnavailable),
        (413, StoreFull),
        (429, StoreUnavailable),
        (498, StoreUnavailable),
        (500, StoreUnavailable),
        (503, StoreUnavailable),
        (507, StoreFull),
    ],
)
def test_statuses(server: Scripted, status: int, kind: type[Exception]):
    with _store(server) as store:
        server.answers.append((status, {}, b""))
        with pytest.raises(kind) as caught:
            _size(store)
    assert type(caught.value) is kind


def test_a_deletion_that_is_forbidden(server: Scripted):
    with _store(server) as store:
        server.answers += [_found(), (403, {}, b"")]
        with pytest.raises(DeletionDenied):
            store.delete(store.url_prefixes[0] + IMAGE)


def test_what_fails_for_a_passing_reason_is_repeated(server: Scripted):
    with _store(server) as store:
        server.answers += [_found(), (503, {}, b""), (500, {}, b""), (204, {}, b"")]
        store.delete(store.url_prefixes[0] + IMAGE)
    assert [method for method, _, _ in server.requests] == ["HEAD", "DELETE", "DELETE", "DELETE"]


def test_a_static_manifest_that_is_not_deleted_completely(server: Scripted):
    report = {"Response Status": "400 Bad Request", "Number Deleted": 1, "Errors": [["/glance/x", "503 Busy"]]}
    with _store(server) as store:
        server.answers += [
            (200, {"X-Static-Large-Object": "True", "Content-Length": "0"}, b""),
            (200, {}, b"[]"),
            (200, {}, json.dumps(report).encode()),
        ]
        with pytest.raises(StoreUnavailable):
            store.delete(store.url_prefixes[0] + IMAGE)


def test_a_listing_of_several_pages(server: Scripted):
    def page(*names: str) -> tuple[int, dict[str, str], bytes]:
        entries = [{"name": name, "bytes": 1, "last_modified": "2026-01-01T00:00:00.000000"} for name in names]
        return 200, {}, json.dumps(entries).encode()

    with _store(server) as store:
        server.answers += [page("a", "b"), page("c"), page()]
        assert [found.image_id for found in store.objects()] == ["a", "b", "c"]
    assert [path.rpartition("marker=")[2] for _, path, _ in server.requests] == ["", "b", "c"]


@pytest.mark.parametrize("count", [1, 4])
def test_an_object_that_ends_early_is_resumed_a_few_times(server: Scripted, count: int):
    """``count``: answers that break off after one byte."""
    with _store(server) as store:
        etag = {"ETag": "e1"}
        server.answers.append((200, {"Content-Length": "10", **etag}, b"0"))
        for start in range(1, count):
            headers = {"Content-Length": str(10 - start), "Content-Range": f"bytes {start}-9/10", **etag}
            server.answers.append((206, headers, str(start).encode()))
        reader = store.reader(store.url_prefixes[0] + IMAGE)
        rest = b"0123456789"[count:]
        headers = {"Content-Length": str(len(rest)), "Content-Range": f"bytes {count}-9/10", **etag}
        server.answers.append((206, headers, rest))
        _cut_when_idle(server)
        found = b""

        def read() -> None:
            nonlocal found
            while part := reader.read(100):
                found += part

        if count > 3:
            with pytest.raises(StoreUnavailable):
                read()
        else:
            read()
            assert found == b"0123456789"
        reader.close()


def _cut_when_idle(server: Scripted) -> None:
    """From now on the server closes a connection after each answer."""
    server.RequestHandlerClass.protocol_version = "HTTP/1.0"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(autouse=True)
def _protocol() -> Iterator[None]:
    yield
    _Handler.protocol_version = "HTTP/1.1"
