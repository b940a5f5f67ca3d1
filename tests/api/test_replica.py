"""``[database] slave_connection``: GET requests are answered from the replica, everything else from the main one."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from glimpse.app import build_service
from glimpse.settings.model import DatabaseSettings, Secret, Settings
from tests.support.wire import ADMIN, Wire, settings_in, template

Two = tuple[Wire, Path, Path]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """A service with two files, of which nobody but the test copies one to the other: the longest lag there is."""
    main, replica = tmp_path / "glimpse.sqlite", tmp_path / "replica.sqlite"
    for file in (main, replica):
        shutil.copyfile(template(), file)
    database = DatabaseSettings(
        connection=Secret(f"sqlite:///{main}"),
        slave_connection=Secret(f"sqlite:///{replica}"),
        synchronous_reader=False,
    )
    settings: Settings = settings_in(tmp_path, database=database)
    loop = asyncio.new_event_loop()
    service = build_service(settings)
    yield Wire(service, loop, settings), main, replica
    service.close()
    loop.close()


def replicate(main: Path, replica: Path) -> None:
    with closing(sqlite3.connect(main)) as source, closing(sqlite3.connect(replica)) as target:
        source.backup(target)


def test_what_was_not_replicated_yet_is_not_shown_and_can_be_changed(two: Two) -> None:
    wire, main, replica = two
    image_id = wire.create(name="old")["id"]
    assert wire("GET", f"/v2/images/{image_id}").status == 404
    assert wire("GET", "/v2/images").json["images"] == []
    replicate(main, replica)
    assert wire("GET", f"/v2/images/{image_id}").json["name"] == "old"
    answer = wire.patch(image_id, {"op": "replace", "path": "/name", "value": "new"})
    assert (answer.status, answer.json["name"]) == (200, "new")
    assert wire.upload(image_id, b"data").status == 204
    assert wire("PUT", f"/v2/images/{image_id}/tags/one").status == 204
    shown = wire("GET", f"/v2/images/{image_id}").json
    assert (shown["name"], shown["status"], shown["tags"]) == ("old", "queued", [])
    assert wire("GET", f"/v2/images/{image_id}/file").status == 204
    replicate(main, replica)
    shown = wire("GET", "/v2/images").json["images"][0]
    assert (shown["name"], shown["status"], shown["tags"]) == ("new", "active", ["one"])
    assert wire("GET", f"/v2/images/{image_id}/file").body == b"data"
    assert wire("DELETE", f"/v2/images/{image_id}").status == 204
    assert wire("GET", f"/v2/images/{image_id}").status == 200


def test_definitions_come_from_the_replica_too(two: Two) -> None:
    wire, main, replica = two
    wire = wire.as_(ADMIN)
    assert wire("POST", "/v2/metadefs/namespaces", json_body={"namespace": "N1"}).status == 201
    assert wire("GET", "/v2/metadefs/namespaces/N1").status == 404
    assert wire("POST", "/v2/metadefs/namespaces/N1/tags/one").status == 201
    replicate(main, replica)
    assert wire("GET", "/v2/metadefs/namespaces/N1").status == 200
