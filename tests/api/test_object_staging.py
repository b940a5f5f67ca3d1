"""Staging in an object store instead of a directory; each kind of store is in tests/contract/stores/test_staging.py."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from glimpse.app import build_service
from glimpse.context import Context
from glimpse.db.records import Viewer
from glimpse.domain.job import JobQuery
from glimpse.domain.properties import FAILED_UPLOAD
from glimpse.errors import Gone
from glimpse.jobs.staging_clean_up import clean_up_staging
from glimpse.services.staging import StageRequest, stage_image
from glimpse.settings.model import Api, Imports, Stores, StoreSettings
from glimpse.stores.base import StoreMisconfigured
from glimpse.stores.memory import MemoryOptions
from tests.support.imports import three_stores
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.wire import Answer, Wire, settings_in, wired

DATA = bytes(range(256)) * 41 + b"tail"
OCTETS = {"Content-Type": "application/octet-stream"}
CALLER = Context(request_id="req-1", user_id="u1", project_id="p1", roles=frozenset({"member", "reader"}))


def area(name: str = "os_glance_staging_store") -> Imports:
    return Imports(staging_store="memory", staging_entry=StoreSettings(id=name, kind="memory", options=MemoryOptions()))


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    api = Api(public_endpoint="http://images.test")
    with wired(settings_in(tmp_path, stores=three_stores(tmp_path), imports=area(), api=api)) as made:
        yield made


@pytest.fixture
def image(wire: Wire) -> str:
    return str(wire.create()["id"])


def stage(wire: Wire, image_id: str, data: bytes = DATA) -> Answer:
    return wire("PUT", f"/v2/images/{image_id}/stage", data, OCTETS)


def begin_import(wire: Wire, image_id: str, **fields: object) -> Answer:
    body = {"method": {"name": "glance-direct"}, **fields}
    return wire("POST", f"/v2/images/{image_id}/import", json_body=body)


def left(wire: Wire) -> list[str]:
    """The ids of images for which something is staged, complete or not."""
    staging = wire.service.deps.staging
    return sorted([image_id for image_id, _ in staging.images()] + [found[0] for found in staging.unfinished()])


def test_from_stage_to_import(wire: Wire, image: str) -> None:
    assert stage(wire, image).status == 204
    assert left(wire) == [image]
    properties = wire.service.deps.database.get_image(image, Viewer(None, is_admin=True)).properties
    # every node reaches the data, so none is named
    assert "os_glance_stage_host" not in properties
    assert begin_import(wire, image, all_stores=True).status == 202
    [job] = wire.service.deps.database.list_jobs(JobQuery(image_id=image, types=("api_image_import",)))
    assert job.stores == ("a", "b", "c")
    run_due(wire.service.jobs)
    shown = wire("GET", f"/v2/images/{image}").json
    assert (shown["status"], shown["size"], shown["stores"]) == ("active", len(DATA), "a,b,c")
    assert wire("GET", f"/v2/images/{image}/file").body == DATA
    assert left(wire) == []


def test_the_area_is_no_store_of_images(wire: Wire, image: str) -> None:
    stores = wire("GET", "/v2/info/stores").json["stores"]
    assert sorted(store["id"] for store in stores) == ["a", "b", "c"]
    stage(wire, image)
    assert begin_import(wire, image, stores=["os_glance_staging_store"]).status == 409


def test_data_that_were_left_are_replaced(wire: Wire, image: str) -> None:
    writer = wire.service.deps.staging.writer(image, "old")
    writer.write(b"left by an earlier stage")
    writer.commit()
    assert stage(wire, image).status == 204
    assert wire.service.deps.staging.size(image) == len(DATA)


def test_a_body_that_ends_early(wire: Wire, image: str) -> None:
    assert wire("PUT", f"/v2/images/{image}/stage", [DATA], OCTETS, cut=True).status == 400
    assert (wire("GET", f"/v2/images/{image}").json["status"], left(wire)) == ("queued", [])


@pytest.mark.parametrize("commits", [False, True])
def test_deletion_while_data_arrive(wire: Wire, image: str, commits: bool) -> None:
    steps = stage_image(wire.service.deps, CALLER, StageRequest(image, None))
    next(steps)
    steps.send(DATA)
    assert wire("DELETE", f"/v2/images/{image}").status == 204
    if not commits:
        wire.service.deps.heartbeat.renew()
    with pytest.raises(Gone):
        steps.send(None if commits else DATA)
    assert left(wire) == []


def test_a_stage_whose_process_died(wire: Wire, image: str) -> None:
    steps = stage_image(wire.service.deps, CALLER, StageRequest(image, None))
    next(steps)
    steps.send(DATA)
    with wire.rows() as connection:
        let_leases_run_out(connection)
    run_due(wire.service.jobs)
    shown = wire("GET", f"/v2/images/{image}").json
    assert (shown["status"], FAILED_UPLOAD in shown, left(wire)) == ("queued", True, [])
    assert stage(wire, image).status == 204
    steps.close()
    assert left(wire) == [image]


def test_clean_up(wire: Wire, image: str) -> None:
    deps = wire.service.deps
    deleted, unknown = str(wire.create()["id"]), str(uuid.uuid4())
    for image_id in (image, deleted, unknown):
        writer = deps.staging.writer(image_id, "a1")
        writer.write(b"left")
        writer.commit()
    unfinished = deps.staging.writer(image, uuid.uuid4().hex) if deps.staging.remove(image) else None
    assert unfinished is not None
    deps.database.delete_without_data(deleted)
    assert clean_up_staging(deps.database, deps.staging, wire.settings.imports.staging_unknown_time) == 1
    assert left(wire) == sorted([image, unknown])
    assert clean_up_staging(deps.database, deps.staging, 0.0, 0.0) == 2
    assert left(wire) == []


def test_the_place_of_a_store_of_images_is_refused(tmp_path: Path) -> None:
    entry = StoreSettings(id="ram", kind="memory", options=MemoryOptions())
    stores = Stores(default="ram", stores=(entry,), named=True)
    with wired(settings_in(tmp_path)):
        settings = settings_in(tmp_path, stores=stores, imports=area("ram"))
        with pytest.raises(StoreMisconfigured, match="place of store ram"):
            build_service(settings)
