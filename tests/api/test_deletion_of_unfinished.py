"""Deleting an image that is being staged or imported leaves nothing, whatever stores the process has that does it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec
import pytest

from glimpse.context import Context
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job, JobChange, JobQuery
from glimpse.domain.status import Status
from glimpse.errors import GlimpseError
from glimpse.jobs.steps.import_leftovers import attempt_of
from glimpse.services.staging import StageRequest, stage_image
from tests.support.imports import begin_import, files, staged, three_stores
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.wire import Wire, settings_in, wired

DATA = bytes(range(256)) * 50
CALLER = Context(request_id="req-1", user_id="u1", project_id="p1", roles=frozenset({"member", "reader"}))


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with wired(settings_in(tmp_path, stores=three_stores(tmp_path))) as made:
        yield made


@pytest.fixture(params=["the same stores", "fewer stores"])
def deleting(request: pytest.FixtureRequest, wire: Wire, tmp_path: Path) -> Iterator[Wire]:
    """The process that is asked to delete."""
    if request.param == "the same stores":
        yield wire
        return
    stores = three_stores(tmp_path)
    with wired(settings_in(tmp_path, stores=msgspec.structs.replace(stores, stores=stores.stores[:1]))) as made:
        yield made


def stage_begun(wire: Wire) -> tuple[str, Generator[None, bytes | None, None]]:
    """A stage that has sent some data."""
    image_id: str = wire.create()["id"]
    steps = stage_image(wire.service.deps, CALLER, StageRequest(image_id, None))
    next(steps)
    steps.send(DATA)
    return image_id, steps


def interrupted_import(wire: Wire, method: str, *, committed: bool) -> Job:
    """An import into three stores whose process died: it had written to all, and committed to one or none."""
    deps = wire.service.deps
    image_id = staged(wire, DATA) if method == "glance-direct" else str(wire.create()["id"])
    uri = None if method == "glance-direct" else "https://203.0.113.5/image"
    job = begin_import(wire, image_id, method, "abc", uri, all_stores=True)
    claimed = deps.database.claim_job(job, "a process that died", 60)
    assert claimed is not None
    deps.database.save_job(
        claimed,
        JobChange(step=("attempts", [claimed.generation])),
        ImageChange(columns={"status": Status.IMPORTING}),
    )
    for store_id in "abc":
        writer = deps.stores.by_id(store_id).writer(image_id, None, attempt_of(job, claimed.generation))
        writer.write(DATA)
        if committed and store_id == "c":
            writer.commit()
    return job


def assert_nothing_left(wire: Wire, image_id: str, directory: Path) -> None:
    staging = directory / "staging"
    assert files(directory, "a", "b", "c") == {"a": [], "b": [], "c": []}
    assert (os.listdir(staging) if staging.exists() else []) == []
    assert wire.service.deps.database.count_jobs() == {}
    assert wire("GET", f"/v2/images/{image_id}").status == 404


@pytest.mark.parametrize("last", [DATA, None])
def test_while_data_are_being_staged(wire: Wire, deleting: Wire, tmp_path: Path, last: bytes | None) -> None:
    image_id, steps = stage_begun(wire)
    assert deleting("DELETE", f"/v2/images/{image_id}").status == 204
    wire.service.deps.heartbeat.renew()
    with pytest.raises(GlimpseError):
        steps.send(last)
    assert_nothing_left(wire, image_id, tmp_path)


def test_while_the_process_that_stages_is_dead(wire: Wire, deleting: Wire, tmp_path: Path) -> None:
    image_id, steps = stage_begun(wire)
    assert deleting("DELETE", f"/v2/images/{image_id}").status == 204
    with wire.rows() as connection:
        let_leases_run_out(connection)
    run_due(deleting.service.jobs)
    assert_nothing_left(wire, image_id, tmp_path)
    steps.close()


def test_of_staged_data(wire: Wire, deleting: Wire, tmp_path: Path) -> None:
    image_id = staged(wire, DATA)
    assert deleting("DELETE", f"/v2/images/{image_id}").status == 204
    assert_nothing_left(wire, image_id, tmp_path)


@pytest.mark.parametrize("method", ["glance-direct", "web-download"])
def test_of_an_import_that_waits(wire: Wire, deleting: Wire, tmp_path: Path, method: str) -> None:
    image_id = staged(wire, DATA) if method == "glance-direct" else str(wire.create()["id"])
    begin_import(wire, image_id, method, "abc", "https://203.0.113.5/image", all_stores=True)
    assert deleting("DELETE", f"/v2/images/{image_id}").status == 204
    run_due(deleting.service.jobs)
    assert_nothing_left(wire, image_id, tmp_path)


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("method", ["glance-direct", "web-download"])
def test_of_an_import_whose_process_died(
    wire: Wire, deleting: Wire, tmp_path: Path, method: str, committed: bool
) -> None:
    job = interrupted_import(wire, method, committed=committed)
    image_id = job.image_id or ""
    assert deleting("DELETE", f"/v2/images/{image_id}").status == 204
    with wire.rows() as connection:
        let_leases_run_out(connection)
    run_due(deleting.service.jobs)
    # what is in stores that the process does not have is left to one that has them
    others = wire.service.deps.database.list_jobs(JobQuery(types=("upload_sweep",)))
    assert sorted(one.stores for one in others) == ([] if deleting is wire else [("b",), ("c",)])
    run_due(wire.service.jobs)
    assert_nothing_left(wire, image_id, tmp_path)
