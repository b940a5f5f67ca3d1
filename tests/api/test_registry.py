"""The API with a registry: the same responses, few calls, and no database code in the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.registry import Registry, through_registry
from tests.support.service import clean_environment, write_options
from tests.support.wire import OTHER, Wire, make_database, settings_in, wired_through_registry


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[Wire, Registry]]:
    with wired_through_registry(settings_in(tmp_path)) as made:
        yield made


def calls(registry: Registry) -> list[str]:
    """Methods called since the last look."""
    found = registry.calls
    registry.requests.clear()
    return found


def test_requests_take_as_few_calls_as_they_take_operations(node: tuple[Wire, Registry]) -> None:
    wire, registry = node
    image_id = wire.create(name="one", os_distro="debian")["id"]
    assert calls(registry) == ["create_image"]
    for path, expected in (
        (f"/v2/images/{image_id}", "get_image"),
        ("/v2/images?limit=10&name=one", "list_images"),
    ):
        assert wire("GET", path).status == 200
        assert calls(registry) == [expected]
    assert wire.patch(image_id, {"op": "replace", "path": "/name", "value": "two"}).status == 200
    assert calls(registry) == ["get_image", "update_image"]
    assert wire.upload(image_id, b"data").status == 204
    assert calls(registry) == ["get_image", "begin_upload", "finish_upload"]
    assert wire("GET", f"/v2/images/{image_id}/file").body == b"data"
    assert calls(registry) == ["get_image"]
    assert wire("DELETE", f"/v2/images/{image_id}").status == 204
    assert calls(registry) == ["get_image", "begin_deletion", "finish_deletion"]
    assert wire.stored() == []


def test_errors_of_the_database_are_answers_as_ever(node: tuple[Wire, Registry]) -> None:
    wire, registry = node
    image_id = wire.create(visibility="private")["id"]
    assert wire.as_(OTHER)("GET", f"/v2/images/{image_id}").status == 404
    assert wire("POST", "/v2/images", json_body={"id": image_id}).status == 409
    assert wire("GET", f"/v2/images?marker={image_id[::-1]}").status == 400
    registry.abort()
    assert wire("GET", f"/v2/images/{image_id}").status == 200


def test_calls_carry_the_id_of_the_request(node: tuple[Wire, Registry]) -> None:
    wire, registry = node
    answer = wire("GET", "/v2/images")
    assert registry.requests[-1].headers["x-openstack-request-id"] == answer.headers["x-openstack-request-id"]


def test_a_registry_that_is_away_is_a_503_that_names_nobody(node: tuple[Wire, Registry]) -> None:
    wire, registry = node
    registry.close()
    answer = wire("GET", "/v2/images")
    assert answer.status == 503
    assert b"The registry cannot be reached." in answer.body
    assert str(registry.address.port).encode() not in answer.body


#: What a node does from its start to an answer, in a process of its own: the modules that it has then.
START = """
import asyncio, sys
from pathlib import Path
from glimpse.cli.config_options import settings_or_exit
from glimpse.cli import jobs, metadefs, serve, worker
from glimpse.app import build_service

loaded = settings_or_exit((Path(sys.argv[1]),), (), None)
serve._get_ready(loaded)
service = build_service(loaded.settings)
sent = []

async def run():
    async def receive():
        return {"type": "http.request", "body": b""}
    async def send(message):
        sent.append(message)
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": "/v2/images",
        "raw_path": b"/v2/images", "query_string": b"", "root_path": "", "headers": [(b"host", b"x")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }
    await service.application(scope, receive, send)

asyncio.run(run())
service.close()
assert sent[0]["status"] == 200, sent
print(" ".join(sorted(sys.modules)))
"""

DATABASES = ("sqlalchemy", "alembic", "psycopg", "psycopg2", "psycopg_binary", "pymysql", "sqlite3", "glimpse.db.sql")


def test_a_node_has_nothing_of_a_database_in_its_process(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "registry")
    settings.data_dir.mkdir()
    make_database(settings)
    with through_registry(settings) as (of_node, registry):
        files = {
            "registry_ca_file": of_node.registry.ca_file,
            "registry_cert_file": of_node.registry.cert_file,
            "registry_key_file": of_node.registry.key_file,
        }
        options = {
            "database": {"connection": registry.url},
            "glimpse": {"data_dir": tmp_path / "node", **files},
            "glance_store": {"stores": "file", "filesystem_store_datadir": tmp_path / "node" / "images"},
        }
        config_file = write_options(tmp_path / "node.conf", options)
        ended = subprocess.run(
            [sys.executable, "-c", START, str(config_file)],
            capture_output=True, text=True, check=False, env=clean_environment(), timeout=55,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert "list_images" in registry.calls
    loaded = ended.stdout.split()
    assert "glimpse.registry.client" in loaded
    assert [name for name in loaded if name.startswith(DATABASES)] == []
