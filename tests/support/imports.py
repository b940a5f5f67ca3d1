"""Imports as jobs, without the request that records them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from glimpse.context import Context
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job, JobStatus
from glimpse.domain.job_kinds import IMAGE_IMPORT, ImageImportInput
from glimpse.domain.properties import IMPORT_LOCK
from glimpse.domain.status import Status
from glimpse.jobs.run import UnattendedRun
from glimpse.settings.model import Stores
from glimpse.transfer.fan_out import FanOut
from tests.support.copies import file_store
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.wire import Wire

MEMBER = Context(request_id="req-import", user_id="u1", project_id="p1")


def three_stores(directory: Path) -> Stores:
    """File stores ``a``, ``b`` and ``c``; ``a`` is the default."""
    return Stores(default="a", named=True, stores=tuple(file_store(directory, name) for name in "abc"))


def stage(wire: Wire, image_id: str, data: bytes) -> None:
    """Stage data as a request does, which leaves the image ``uploading``."""
    writer = wire.service.deps.staging.writer(image_id, "stage")
    writer.write(data)
    writer.commit()
    change = ImageChange(columns={"status": Status.UPLOADING, "size": len(data)}, from_status=(Status.QUEUED,))
    wire.service.deps.database.update_image(image_id, change)


def staged(wire: Wire, data: bytes, **attributes: object) -> str:
    """A new image with staged data."""
    image_id: str = wire.create(**attributes)["id"]
    stage(wire, image_id, data)
    return image_id


def begin_import(
    wire: Wire,
    image_id: str,
    method: str = "glance-direct",
    stores: Iterable[str] = ("default",),
    uri: str | None = None,
    **body: object,
) -> Job:
    """Record the job of an import, which locks the image."""
    request: dict[str, Any] = {"method": {"name": method, **({"uri": uri} if uri else {})}, **body}
    given = ImageImportInput(image_id=image_id, request=json.dumps(request), stores=tuple(stores))
    jobs = wire.service.deps.jobs
    job = jobs.draft(MEMBER, IMAGE_IMPORT, given, image_id=image_id, unique_key=f"import:{image_id}")
    jobs.add(job, ImageChange(set_properties={IMPORT_LOCK: job.id}))
    return job


def run_imports(wire: Wire, job: Job) -> Job:
    """Run jobs until ``job`` has ended, whatever it waits for, and those that it has left; return how it ended."""
    for _ in range(10):
        run_due(wire.service.jobs)
        with wire.rows() as connection:
            let_leases_run_out(connection)
        if (found := wire.service.deps.database.get_job(job.id)).status not in (JobStatus.PENDING, JobStatus.RUNNING):
            run_due(wire.service.jobs)
            return found
    raise AssertionError("the import does not come to its end")


def imported(
    wire: Wire,
    image_id: str,
    method: str = "glance-direct",
    stores: Iterable[str] = ("default",),
    uri: str | None = None,
    **body: object,
) -> Job:
    """Import, and return the job that has ended."""
    return run_imports(wire, begin_import(wire, image_id, method, stores, uri, **body))


class Killed(BaseException):
    """The process ends here."""


def killed_while_writing(wire: Wire, patch: pytest.MonkeyPatch, job: Job, writes: int, partial: Iterable[Path]) -> None:
    """Run an import until ``writes`` batches are written, and leave everything as if its process was killed then.

    ``partial`` are the directories in which that much is written before the process ends.
    """
    write = FanOut.write
    batches: list[int] = []

    def killed(fan_out: FanOut, batch: bytes) -> None:
        write(fan_out, batch)
        batches.append(len(batch))
        if len(batches) == writes:
            until_true(lambda: all(_unfinished_bytes(one) == sum(batches) for one in partial), "nothing was written")
            raise Killed

    with patch.context() as patched:
        patched.setattr(FanOut, "write", killed)
        patched.setattr(FanOut, "abort", lambda _: frozenset())
        patched.setattr("glimpse.jobs.steps.import_leftovers.Leftovers.clean", lambda *_: None)
        database = wire.service.deps.database
        claimed = database.claim_job(database.get_job(job.id), "dead", 60.0)
        assert claimed is not None
        with pytest.raises(Killed):
            wire.service.jobs._handlers[job.type].run(UnattendedRun(database, claimed, 60.0, threading.Event()))
    with wire.rows() as connection:
        let_leases_run_out(connection)


def _unfinished_bytes(directory: Path) -> int:
    return max((path.stat().st_size for path in directory.glob(".*.partial")), default=0)


def until_true(holds: Callable[[], bool], reason: str) -> None:
    """Wait until ``holds``."""
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until, reason
        time.sleep(0.01)


def files(directory: Path, *stores: str) -> dict[str, list[str]]:
    """The names of all files of the stores, those of their own housekeeping left out."""
    return {
        store: sorted(
            path.name for path in (directory / store).rglob("*") if path.is_file() and path.name != ".glimpse-store"
        )
        for store in stores
    }
