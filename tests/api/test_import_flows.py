"""Imports from the first request of a client to the image that is active (imports-and-stores 2.1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glimpse.settings.model import Stores, StoreSettings
from glimpse.stores.filesystem.options import FilesystemOptions
from tests.support.images.content import noise
from tests.support.jobs import run_due
from tests.support.wire import ADMIN, Answer, Wire, settings_in, wired

DATA = noise(70_000)
LOCK = "os_glance_import_task"
LISTS = ("os_glance_importing_to_stores", "os_glance_failed_import")


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    entries = tuple(
        StoreSettings(id=name, kind="file", options=FilesystemOptions(filesystem_store_datadir=str(tmp_path / name)))
        for name in ("a", "b", "c")
    )
    with wired(settings_in(tmp_path, stores=Stores(default="b", named=True, stores=entries))) as made:
        yield made


def start(wire: Wire, image_id: str, method: str, **more: object) -> Answer:
    return wire("POST", f"/v2/images/{image_id}/import", json_body={"method": {"name": method}, **more})


def show(wire: Wire, image_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = wire("GET", f"/v2/images/{image_id}").json
    return shown


def stage(wire: Wire, image_id: str, data: bytes = DATA) -> int:
    fields = {"Content-Type": "application/octet-stream"}
    return wire("PUT", f"/v2/images/{image_id}/stage", data, fields).status


@pytest.mark.parametrize(
    ("more", "stores"), [({}, "b"), ({"stores": ["c", "a"]}, "c,a"), ({"all_stores": True}, "a,b,c")]
)
def test_data_that_the_client_sends(wire: Wire, more: dict[str, Any], stores: str) -> None:
    image_id = wire.create()["id"]
    assert start(wire, image_id, "glance-direct", **more).status == 409
    assert stage(wire, image_id) == 204
    accepted = start(wire, image_id, "glance-direct", **more)
    assert accepted.status == 202
    assert start(wire, image_id, "glance-direct", **more).status == 409
    assert run_due(wire.service.jobs) == 1
    shown = show(wire, image_id)
    assert (shown["status"], shown["size"], shown["stores"]) == ("active", len(DATA), stores)
    assert LOCK not in shown
    assert [shown[name] for name in LISTS] == ["", ""]
    assert wire("GET", f"/v2/images/{image_id}/file").body == DATA
    assert list(wire.service.deps.staging.images()) == []
    [task] = wire("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
    assert (task["status"], task["result"]) == ("success", {"image_id": image_id})
    assert task["request_id"] == accepted.headers["x-openstack-request-id"]


def test_copies_in_all_other_stores(wire: Wire) -> None:
    admin = wire.as_(ADMIN)
    image_id = wire.create()["id"]
    assert wire.upload(image_id, DATA).status == 204
    assert start(admin, image_id, "copy-image", all_stores=True).status == 202
    assert show(wire, image_id)["status"] == "active"
    assert run_due(wire.service.jobs) == 1
    shown = show(wire, image_id)
    assert sorted(shown["stores"].split(",")) == ["a", "b", "c"]
    assert LOCK not in shown
    # there is nothing left to copy
    assert start(admin, image_id, "copy-image", all_stores=True).status == 202
    assert run_due(wire.service.jobs) == 0
    assert show(wire, image_id) == shown


def test_the_methods_are_those_that_work(wire: Wire) -> None:
    for name in wire("GET", "/v2/info/import").json["import-methods"]["value"]:
        # no method is refused as unknown; without a fitting image it is a conflict
        image_id = wire.create()["id"] if name == "copy-image" else _active(wire)
        assert start(wire, image_id, name).status == 409, name


def _active(wire: Wire) -> str:
    image_id: str = wire.create()["id"]
    assert wire.upload(image_id, DATA).status == 204
    return image_id
