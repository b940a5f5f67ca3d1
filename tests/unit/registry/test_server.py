"""The registry's application: who may call what, and the responses to invalid, late, large and failed calls."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.errors import BodyTimeout, Duplicate, Invalid, LimitExceeded, NotFound
from glimpse.registry import wire
from glimpse.registry.errors import (
    DeadlinePassed,
    NotProcessed,
    RegistryDefect,
    RoleRefused,
    UnknownMethod,
    VersionRefused,
)
from glimpse.registry.methods import METHODS
from glimpse.registry.wire import Role
from glimpse.settings.model import DatabaseSettings, Secret
from glimpse.telemetry.metrics import ProcessMetrics
from tests.contract.db.examples import ADMIN, image
from tests.support.registry_asgi import NOBODY, NODE, OPERATOR, VERSIONED, Asgi, registry_on
from tests.support.wire import template


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with all tables and no rows."""
    copy = tmp_path / "glimpse.sqlite"
    shutil.copyfile(template(), copy)
    return copy


@pytest.fixture
def database(file: Path) -> Iterator[SqlDatabase]:
    opened = SqlDatabase(connect(DatabaseSettings(connection=Secret(f"sqlite:///{file}"))))
    yield opened
    opened.close()


@pytest.fixture
def registry(database: SqlDatabase) -> Iterator[Asgi]:
    with registry_on(database) as started:
        yield started


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Nobody can write into the database while the block runs."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def images(file: Path) -> int:
    with closing(sqlite3.connect(file)) as other:
        return other.execute("SELECT count(*) FROM images").fetchone()[0]


def test_what_a_method_returns_and_raises_comes_back_as_it_is(registry: Asgi) -> None:
    made = image(name="first", properties={"os_distro": "debian"}, tags=("a", "b"))
    assert registry.call("create_image", NODE, image=made) is None
    assert registry.call("get_image", NODE, image_id=made.id, viewer=ADMIN).name == "first"
    with pytest.raises(Duplicate):
        registry.call("create_image", NODE, image=made)
    with pytest.raises(NotFound):
        registry.call("get_image", NODE, image_id=image().id, viewer=ADMIN)


def test_a_client_without_a_role_may_call_nothing(registry: Asgi) -> None:
    for verb, path in (("POST", "/v2/count_jobs"), ("GET", wire.SERVER_INFO), ("POST", "/v2/no_such_method")):
        answer = registry.request(verb, path, client=NOBODY)
        assert answer.status == 403
        assert isinstance(answer.error, RoleRefused)


def test_an_api_node_may_not_call_what_is_for_admins(registry: Asgi, file: Path) -> None:
    for name, method in METHODS.items():
        answer = registry.post(name, client=NODE)
        assert (answer.status == 403) is (method.role is Role.ADMIN), name
    assert registry.call("unload_namespaces", OPERATOR) == 0
    with pytest.raises(RoleRefused, match="The role api may not call unload_namespaces"):
        registry.call("unload_namespaces", NODE)


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/v2/no_such_method"),
        ("POST", "/v2/close"),
        ("POST", "/v2/__init__"),
        ("POST", "/v2/_engine"),
        ("POST", "/v2/get_image/"),
        ("POST", "/v3/get_image"),
        ("POST", "get_image"),
        ("POST", "/"),
        ("POST", wire.SERVER_INFO),
        ("GET", "/v2/get_image"),
        ("DELETE", "/v2/get_image"),
    ],
)
def test_what_does_not_exist_is_an_unknown_method(registry: Asgi, verb: str, path: str) -> None:
    answer = registry.request(verb, path)
    assert answer.status == 404
    assert isinstance(answer.error, UnknownMethod)


@pytest.mark.parametrize("version", [None, "", "2", "2.x", "1.1", "0.0", "2.2", "2.0.0", "99999.0", "\xb2.0"])
def test_a_version_that_is_too_far_away_is_refused(registry: Asgi, version: str | None) -> None:
    answer = registry.post("count_jobs", headers={} if version is None else {wire.VERSION_HEADER: version})
    assert answer.status == 426
    assert isinstance(answer.error, VersionRefused)


@pytest.mark.parametrize(("verb", "path"), [("GET", "/v1/hello"), ("POST", "/v1/get_image"), ("POST", "/v1/x")])
def test_a_node_of_version_1_is_refused_with_what_to_do(registry: Asgi, verb: str, path: str) -> None:
    """It asks for /v1/hello first on each connection, and finds version 2.0 in the header of the answer."""
    answer = registry.request(verb, path, b"\x80", {wire.VERSION_HEADER: "1.1"})
    assert answer.status == 426
    assert isinstance(answer.error, VersionRefused)
    assert str(answer.error) == (
        "This node uses version 1.1 of the registry protocol, the registry version 2.0: they may differ by one "
        "minor version. Upgrade this node."
    )
    assert answer.headers[wire.VERSION_HEADER.lower()] == "2.0"


def test_one_minor_version_more_is_understood(registry: Asgi) -> None:
    newer = wire.Version(wire.VERSION.major, wire.VERSION.minor + 1)
    assert registry.post("count_jobs", headers={wire.VERSION_HEADER: str(newer)}).status == 200


@pytest.mark.parametrize("text", ["", "-1", "1.5", "soon", "1e3", "9999999999", "\xb2"])
def test_a_deadline_that_is_none_is_refused(registry: Asgi, text: str) -> None:
    answer = registry.post("count_jobs", headers={**VERSIONED, wire.DEADLINE_HEADER: text})
    assert isinstance(answer.error, Invalid)


def test_a_call_whose_deadline_has_passed_is_not_begun(registry: Asgi, file: Path) -> None:
    body = METHODS["create_image"].encode_arguments({"image": image()})
    answer = registry.post("create_image", body, {**VERSIONED, wire.DEADLINE_HEADER: "0"})
    assert answer.status == 504
    assert isinstance(answer.error, DeadlinePassed)
    assert images(file) == 0
    assert registry.post("create_image", body, {**VERSIONED, wire.DEADLINE_HEADER: "60000"}).status == 200


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("get_image", b""),
        ("get_image", b"\x80"),
        ("get_image", b"\xc1"),
        ("get_image", b"\x00"),
        ("get_image", msgspec.msgpack.encode({"image_id": 7, "viewer": {"project_id": None}})),
        ("get_image", msgspec.msgpack.encode({"image_id": "7", "viewer": "me"})),
        ("get_image", msgspec.msgpack.encode([1, 2])),
        ("create_image", msgspec.msgpack.encode({"image": {}})),
        ("count_jobs", b"\x80\x80"),
        ("count_jobs", b"\x91" * 100_000),
        ("list_images", msgspec.msgpack.encode({"query": {"limit": "many"}, "viewer": {"project_id": None}})),
    ],
)
def test_arguments_that_are_wrong_are_a_typed_error(registry: Asgi, name: str, body: bytes) -> None:
    answer = registry.post(name, body)
    assert answer.status == 422
    assert isinstance(answer.error, Invalid)


def test_an_argument_that_does_not_exist_here_means_a_newer_client(registry: Asgi) -> None:
    answer = registry.post("count_jobs", msgspec.msgpack.encode({"purpose": "upload"}))
    assert isinstance(answer.error, UnknownMethod)


def test_a_body_that_is_too_large_is_dropped_and_refused(registry: Asgi) -> None:
    part = bytes(1 << 20)
    count = wire.MAX_BODY // len(part)
    assert registry.request("POST", "/v2/count_jobs", [part] * (count + 1)).status == 422
    answer = registry.request("POST", "/v2/count_jobs", iter(lambda: part, None))
    assert isinstance(answer.error, LimitExceeded)
    assert str(wire.MAX_BODY) in str(answer.error)


def test_a_body_that_stops_is_given_up_and_its_connection_too(database: SqlDatabase) -> None:
    with registry_on(database, body_timeout=0.05) as registry:
        answer = registry.loop.run_until_complete(registry.asked("POST", "/v2/count_jobs", b"\x80", hangs=True))
    assert isinstance(answer.error, BodyTimeout)
    assert answer.headers["connection"] == "close"


def test_a_client_that_leaves_before_the_end_of_its_call_changes_nothing(registry: Asgi, file: Path) -> None:
    body = METHODS["create_image"].encode_arguments({"image": image()})
    assert registry.request("POST", "/v2/create_image", body, cut=True).status == 0
    assert images(file) == 0
    assert registry.calls.inside == 0


def test_more_calls_than_may_wait_are_refused_at_once(database: SqlDatabase, file: Path) -> None:
    bodies = [METHODS["create_image"].encode_arguments({"image": image()}) for _ in range(4)]

    async def ask() -> list[int]:
        with locked(file):
            # one runs, one waits
            begun = [asyncio.create_task(registry.asked("POST", "/v2/create_image", body)) for body in bodies[:2]]
            while registry.calls.inside < 2:
                await asyncio.sleep(0)
            refused = [await registry.asked("POST", "/v2/create_image", body) for body in bodies[2:]]
            assert all(isinstance(answer.error, NotProcessed) for answer in refused)
            assert not any(task.done() for task in begun)
        return [answer.status for answer in (*await asyncio.gather(*begun), *refused)]

    with registry_on(database, threads=1, queue=1) as registry:
        assert registry.loop.run_until_complete(ask()) == [200, 200, 503, 503]
        assert registry.calls.inside == 0
    assert images(file) == 2


def test_a_deadline_that_passes_in_the_queue_lets_the_call_undone(database: SqlDatabase, file: Path) -> None:
    bodies = [METHODS["create_image"].encode_arguments({"image": image()}) for _ in range(2)]
    late = {**VERSIONED, wire.DEADLINE_HEADER: "1"}

    async def ask() -> list[int]:
        with locked(file):
            first = asyncio.create_task(registry.asked("POST", "/v2/create_image", bodies[0]))
            while registry.calls.inside < 1:
                await asyncio.sleep(0)
            second = asyncio.create_task(registry.asked("POST", "/v2/create_image", bodies[1], late))
            while registry.calls.inside < 2:
                await asyncio.sleep(0)
            passed = time.monotonic() + 0.01
            while time.monotonic() < passed:
                await asyncio.sleep(0.01)
        return [(await first).status, (await second).status]

    with registry_on(database, threads=1) as registry:
        assert registry.loop.run_until_complete(ask()) == [200, 504]
    assert images(file) == 1


def test_a_defect_is_logged_and_says_nothing_to_the_client(
    registry: Asgi, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = image()
    registry.call("create_image", image=broken)
    with closing(sqlite3.connect(file)) as other:
        other.execute("UPDATE images SET created_at = 'long ago'")
        other.commit()
    body = METHODS["get_image"].encode_arguments({"image_id": broken.id, "viewer": ADMIN})
    answer = registry.post("get_image", body)
    assert answer.status == 500
    with pytest.raises(RegistryDefect):
        _ = answer.error
    assert b"long ago" not in answer.body
    assert "Unexpected error in get_image" in caplog.text
    assert registry.post("count_jobs").status == 200


def test_a_client_that_may_not_go_on_is_told_to_connect_again(database: SqlDatabase) -> None:
    with registry_on(database, refusal=lambda client: f"Not {client.name}.") as registry:
        answer = registry.post("count_jobs")
    assert answer.status == 503
    assert isinstance(answer.error, NotProcessed)
    assert str(answer.error) == "Not node."
    assert answer.headers["connection"] == "close"


def test_the_server_info_says_version_role_and_whether_the_schema_is_ready(database: SqlDatabase) -> None:
    with registry_on(database) as registry:
        ready = msgspec.msgpack.decode(
            registry.request("GET", wire.SERVER_INFO, client=NODE).body, type=wire.ServerInfo
        )
    assert ready == wire.ServerInfo(version=str(wire.VERSION), role=Role.API, ready=True, state="")
    with registry_on(database, schema_problem=lambda: "No tables.") as registry:
        answer = registry.request("GET", wire.SERVER_INFO, headers={}, client=OPERATOR)
    info = msgspec.msgpack.decode(answer.body, type=wire.ServerInfo)
    assert info == wire.ServerInfo(version=str(wire.VERSION), role=Role.ADMIN, ready=False, state="No tables.")


@pytest.mark.parametrize("verb", ["GET", "HEAD"])
def test_the_health_check_asks_for_nothing_but_a_certificate(registry: Asgi, verb: str) -> None:
    assert registry.request(verb, "/healthcheck", headers={}, client=NOBODY).status == 200


def test_each_call_leaves_a_line_with_its_outcome(registry: Asgi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "glimpse.access")
    named = {**VERSIONED, wire.REQUEST_ID_HEADER: "req-0815"}
    registry.post("count_jobs", headers=named)
    body = METHODS["get_image"].encode_arguments({"image_id": image().id, "viewer": ADMIN})
    registry.post("get_image", body)
    registry.post("no_such_method", headers={**VERSIONED, wire.REQUEST_ID_HEADER: "forged\nline"})
    registry.request("POST", "/v2/get_image", b"", cut=True)
    first, second, third, fourth = caplog.records
    assert first.getMessage().startswith("192.0.2.7 node count_jobs ok in 1 out 1 ")
    assert first.caller.request_id == "req-0815"
    assert (second.method, second.outcome, second.bytes_in) == ("get_image", "NotFound", len(body))
    assert (third.method, third.outcome) == ("other", "UnknownMethod")
    assert third.caller.request_id.startswith("req-")
    assert (fourth.method, fourth.outcome) == ("get_image", "gone")


def test_calls_count_as_requests(database: SqlDatabase) -> None:
    recorder = ProcessMetrics(CollectorRegistry())
    try:
        with registry_on(database, recorder=recorder) as registry:
            registry.post("count_jobs")
            registry.post("no_such_method")
            registry.request("GET", wire.SERVER_INFO)
            registry.request("GET", "/healthcheck")
        recorder.flush()
        for labels in (
            {"method": "POST", "route": "/v2/count_jobs", "status": "200"},
            {"method": "POST", "route": "/v2/other", "status": "404"},
            {"method": "GET", "route": "/v2/server_info", "status": "200"},
            {"method": "GET", "route": "/healthcheck", "status": "200"},
        ):
            assert recorder.registry.get_sample_value("glimpse_requests_total", labels) == 1.0, labels
    finally:
        recorder.close()
