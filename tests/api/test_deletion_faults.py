"""Deletions that cannot be carried out at once: refused, halfway, in stores that are down or on another site.

One test for each fault that two engines of unfinished work had (docs/adr/0016).
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db.records import Viewer
from glimpse.db.sql import own_tables
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.job import Job, JobQuery, JobStatus
from glimpse.domain.properties import FAILED_UPLOAD
from glimpse.errors import DataInUse, StoreUnavailable
from glimpse.settings.model import Stores, StoreSettings
from glimpse.stores.base import DeletionCheck, ability
from glimpse.stores.filesystem.options import FilesystemOptions
from tests.contract.db.examples import OVER, deletion_job, upload_job
from tests.support.copies import add_copy, file_store
from tests.support.jobs import let_leases_run_out, run_due
from tests.support.wire import ADMIN, Wire, settings_in, wired

DATA = b"0123456789"
_EVERYBODY = Viewer(None, is_admin=True)


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """Stores a and b."""
    stores = Stores(default="a", named=True, stores=(file_store(tmp_path, "a"), file_store(tmp_path, "b")))
    with wired(settings_in(tmp_path, stores=stores)) as made:
        yield made


def uploaded(wire: Wire, *copies: str) -> str:
    """The id of a new image with data in the default store, and in the stores of ``copies``."""
    image_id: str = wire.create()["id"]
    assert wire.upload(image_id, DATA).status == 204
    for store_id in copies:
        add_copy(wire, image_id, store_id, DATA)
    return image_id


def held(wire: Wire, *store_ids: str) -> list[str]:
    """The stores of these that hold a file."""
    return [name for name in store_ids if any((wire.settings.data_dir / name).glob("[!.]*"))]


def stores_of(wire: Wire, image_id: str) -> list[object]:
    image = wire.service.deps.database.get_image(image_id, _EVERYBODY)
    return [location.metadata.get("store") for location in image.locations]


def jobs(wire: Wire) -> list[Job]:
    return wire.service.deps.database.list_jobs(JobQuery())


def settle(wire: Wire) -> int:
    """Let every lease and pause run out and do what is due."""
    with wire.rows() as connection:
        let_leases_run_out(connection)
    return run_due(wire.service.jobs)


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    changed = subprocess.run(["chattr", "+i", path], capture_output=True, text=True, check=False)
    if changed.returncode:
        pytest.skip(f"chattr: {changed.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def delete(wire: Wire, image_id: str) -> tuple[int, str]:
    answer = wire("DELETE", f"/v2/images/{image_id}")
    return answer.status, answer.body.decode()


def test_a_deletion_that_a_store_refuses_is_over(wire: Wire) -> None:
    """It was answered 403, then 409 for ever, and carried out later when the store allowed it."""
    image_id = uploaded(wire)
    with immutable(wire.settings.data_dir / "a" / image_id):
        for _ in range(2):
            assert delete(wire, image_id)[0] == 403
        assert {(job.type, job.status) for job in jobs(wire)} == {("image_deletion", JobStatus.FAILED)}
        assert settle(wire) == 0
    assert settle(wire) == 0
    assert wire("GET", f"/v2/images/{image_id}/file").body == DATA
    assert delete(wire, image_id)[0] == 204
    assert held(wire, "a") == []


def test_all_stores_are_asked_before_the_first_copy_goes(wire: Wire) -> None:
    """The first copy was deleted, and the answer said that the image was unchanged."""
    image_id = uploaded(wire, "b")
    with immutable(wire.settings.data_dir / "b" / image_id):
        assert delete(wire, image_id)[0] == 403
    assert (held(wire, "a", "b"), stores_of(wire, image_id)) == (["a", "b"], ["a", "b"])


def test_what_is_gone_leaves_the_record_and_the_answer_says_what_remains(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store may still refuse when its turn comes: somebody has begun to use the copy meanwhile."""
    image_id = uploaded(wire, "b")

    def refuse(_url: str) -> None:
        raise DataInUse("Store b has clones of the data.")

    with monkeypatch.context() as patch:
        patch.setattr(wire.service.deps.stores.by_id("b"), "delete", refuse)
        status, text = delete(wire, image_id)
    assert status == 409
    assert "Copies in a were deleted before" in text
    assert "has its copies in b" in text
    assert (held(wire, "a", "b"), stores_of(wire, image_id)) == (["b"], ["b"])
    assert wire("GET", f"/v2/images/{image_id}/file").body == DATA
    assert settle(wire) == 0
    assert delete(wire, image_id)[0] == 204
    assert held(wire, "a", "b") == []


def test_a_copy_in_a_store_that_is_down_is_removed_later(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = uploaded(wire, "b")

    def fail(_url: str) -> None:
        raise StoreUnavailable("Store b does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(wire.service.deps.stores.by_id("b"), "delete", fail)
        assert delete(wire, image_id)[0] == 204
        assert wire("GET", f"/v2/images/{image_id}").status == 404
        pauses: list[int] = []
        for _ in range(3):
            assert settle(wire) == 1
            (job,) = jobs(wire)
            assert (job.type, job.status, job.stores) == ("copy_removal", JobStatus.PENDING, ("b",))
            assert job.message == "Store b does not answer."
            pauses.append(job.steps["waits"])
        assert pauses == [1, 2, 3]
    assert held(wire, "a", "b") == ["b"]
    assert settle(wire) == 1
    assert held(wire, "a", "b") == []
    assert jobs(wire)[0].status is JobStatus.SUCCEEDED


@contextmanager
def sites(directory: Path, *, named: bool) -> Iterator[tuple[Wire, Wire]]:
    """Two installations with different stores on one database."""
    with ExitStack() as stack:
        made: list[Wire] = []
        for site in ("here", "there"):
            store_id = site if named else "default"
            options = FilesystemOptions(filesystem_store_datadir=str(directory / site))
            entry = StoreSettings(id=store_id, kind="file", options=options)
            stores = Stores(default=store_id, named=named, stores=(entry,))
            made.append(stack.enter_context(wired(settings_in(directory, stores=stores))))
        yield made[0], made[1]


@pytest.mark.parametrize("named", [True, False])
def test_a_copy_on_another_site_waits_for_a_process_that_has_its_store(tmp_path: Path, named: bool) -> None:
    """It was 503, then 409 for ever, and the sites took the lease from each other without end."""
    with sites(tmp_path, named=named) as (here, there):
        image_id = uploaded(there)
        assert held(there, "there") == ["there"]
        assert delete(here, image_id)[0] == 204
        assert here("GET", f"/v2/images/{image_id}").status == 404
        (job,) = jobs(here)
        assert job.status is JobStatus.PENDING
        assert job.stores == (("there",) if named else (f"file://{tmp_path}/there/",))
        for _ in range(2):
            assert settle(here) == 0
        assert held(there, "there") == ["there"]
        assert settle(there) == 1
        assert held(there, "there") == []


@pytest.mark.parametrize("named", [True, False])
def test_a_dead_upload_is_reverted_where_its_store_is(tmp_path: Path, named: bool) -> None:
    with sites(tmp_path, named=named) as (here, there):
        image_id: str = there.create()["id"]
        stores = there.service.deps.stores
        job = upload_job(image_id, stores=stores.needed[stores.default.id])
        there.service.deps.database.begin_upload(job, OVER)
        stores.default.writer(image_id, None, job.id).write(DATA)
        assert settle(here) == 0
        assert settle(there) == 1
        assert list((tmp_path / "there").glob(".*.partial")) == []
        shown = here("GET", f"/v2/images/{image_id}").json
        assert (shown["status"], "interrupted" in shown[FAILED_UPLOAD]) == ("queued", True)


def test_a_cancelled_upload_is_reverted_though_its_store_is_gone(wire: Wire) -> None:
    image_id: str = wire.create()["id"]
    job = upload_job(image_id, stores=("gone",))
    database = wire.service.deps.database
    database.begin_upload(job, OVER)
    assert settle(wire) == 0
    database.cancel_job(job.id)
    assert settle(wire) == 1
    assert (database.get_job(job.id).status, wire("GET", f"/v2/images/{image_id}").json["status"]) == (
        JobStatus.CANCELLED, "queued",
    )  # fmt: skip


def test_a_deletion_whose_process_died_is_carried_on_and_may_still_be_refused(wire: Wire) -> None:
    carried_on, refused = uploaded(wire, "b"), uploaded(wire)
    database = wire.service.deps.database
    for image_id in (carried_on, refused):
        database.begin_deletion(
            deletion_job(image_id), OVER, from_status=database.get_image(image_id, _EVERYBODY).status
        )
    (wire.settings.data_dir / "a" / carried_on).unlink()
    with immutable(wire.settings.data_dir / "a" / refused):
        assert run_due(wire.service.jobs) == 2
    ends = {job.image_id: job.status for job in jobs(wire)}
    assert ends == {carried_on: JobStatus.SUCCEEDED, refused: JobStatus.FAILED}
    assert held(wire, "b") == []
    assert settle(wire) == 0
    assert wire("GET", f"/v2/images/{refused}/file").body == DATA


def test_a_copy_that_appears_while_a_deletion_begins_is_deleted_too(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion went by the image that it had read before its lease: the copy stayed as an orphan."""
    image_id = uploaded(wire)
    database = wire.service.deps.database
    begin = database.begin_deletion

    def late(*args: Any, **kwargs: Any) -> Any:
        writer = wire.service.deps.stores.by_id("b").writer(image_id, len(DATA), "copy")
        writer.write(DATA)
        location = Location(url=writer.commit().url, metadata={"store": "b"})
        database.update_image(image_id, ImageChange(add_locations=(location,)))
        return begin(*args, **kwargs)

    monkeypatch.setattr(database, "begin_deletion", late)
    assert delete(wire, image_id)[0] == 204
    assert held(wire, "a", "b") == []


def test_jobs_that_requests_do_themselves_are_no_tasks(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = uploaded(wire)
    check = ability(wire.service.deps.stores.by_id("a"), DeletionCheck)
    monkeypatch.setattr(check, "check_delete", _refuse)
    assert delete(wire, image_id)[0] == 409
    assert wire.as_(ADMIN)("GET", f"/v2/images/{image_id}/tasks").json["tasks"] == []


def _refuse(_url: str) -> None:
    raise DataInUse("in use")


class TestWithoutExtendedAttributes:
    """Final files do not tell which attempt wrote them."""

    @pytest.fixture(autouse=True)
    def no_attributes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_args: object, **_kwargs: object) -> bytes:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

        monkeypatch.setattr(os, "getxattr", refuse)
        monkeypatch.setattr(os, "setxattr", refuse)

    def dead(self, wire: Wire, image_id: str) -> Job:
        job = upload_job(image_id, stores=("a",))
        wire.service.deps.database.begin_upload(job, OVER)
        writer = wire.service.deps.stores.by_id("a").writer(image_id, len(DATA), job.id)
        writer.write(DATA)
        writer.commit()
        return job

    def test_what_a_dead_upload_committed_is_swept(self, wire: Wire) -> None:
        self.dead(wire, wire.create()["id"])
        assert settle(wire) == 1
        assert held(wire, "a") == []

    def test_the_file_of_another_attempt_stays(self, wire: Wire) -> None:
        """Its sweep removed the committed file of another attempt, which the image has as its location."""
        image_id: str = wire.create()["id"]
        self.dead(wire, image_id)
        change = ImageChange(
            columns={"status": "active", "size": len(DATA)},
            add_locations=(Location(url=f"file://{wire.settings.data_dir}/a/{image_id}", metadata={"store": "a"}),),
        )
        wire.service.deps.database.update_image(image_id, change)
        assert settle(wire) == 1
        assert held(wire, "a") == ["a"]
        assert wire("GET", f"/v2/images/{image_id}/file").body == DATA

    def test_a_stale_upload_removes_nothing_of_the_next_one(self, wire: Wire) -> None:
        """The next upload has taken the place of its job, so the stale run has lost it."""
        image_id: str = wire.create()["id"]
        database = wire.service.deps.database
        stale = upload_job(image_id, stores=("a",))
        database.begin_upload(stale, OVER)
        database.update_image(image_id, ImageChange(columns={"status": "queued"}))
        assert wire.upload(image_id, DATA).status == 204
        assert settle(wire) == 0
        assert held(wire, "a") == ["a"]


@pytest.mark.parametrize("finished", [True, False])
def test_a_deletion_that_another_process_took_over(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, *, finished: bool
) -> None:
    """The database did not answer for longer than a lease. The client hears what became of the image, not 410."""
    image_id = uploaded(wire)
    store = wire.service.deps.stores.by_id("a")
    remove = store.delete

    def take_over(url: str) -> None:
        remove(url)
        if finished:
            assert settle(wire) == 1
            return
        with wire.rows() as connection:
            connection.execute(sa.update(own_tables.jobs).values(generation=own_tables.jobs.c.generation + 1))

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete", take_over)
        status, text = delete(wire, image_id)
    if finished:
        assert status == 204
        assert wire("GET", f"/v2/images/{image_id}").status == 404
    else:
        assert status == 503
        assert "was taken over by another process" in text
        assert settle(wire) == 1
        assert wire("GET", f"/v2/images/{image_id}").status == 404


def test_a_location_whose_removal_another_process_took_over(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = uploaded(wire, "b")
    store = wire.service.deps.stores.by_id("b")
    remove = store.delete

    def take_over(url: str) -> None:
        remove(url)
        with wire.rows() as connection:
            connection.execute(sa.update(own_tables.jobs).values(generation=own_tables.jobs.c.generation + 1))

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete", take_over)
        assert wire.as_(ADMIN)("DELETE", f"/v2/stores/b/{image_id}").status == 204
    assert stores_of(wire, image_id) == ["a"]
    assert settle(wire) == 1
    assert held(wire, "a", "b") == ["a"]


@pytest.mark.parametrize("kind", ["upload", "deletion"])
def test_a_heartbeat_before_the_job_is_recorded(wire: Wire, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """While the database did not answer, a heartbeat found no row yet, and took the job for lost."""
    image_id = uploaded(wire) if kind == "deletion" else wire.create()["id"]
    deps = wire.service.deps
    name = "begin_deletion" if kind == "deletion" else "begin_upload"
    begin = getattr(deps.database, name)

    def late(*args: Any, **kwargs: Any) -> Any:
        deps.heartbeat.renew()
        return begin(*args, **kwargs)

    monkeypatch.setattr(deps.database, name, late)
    if kind == "deletion":
        assert delete(wire, image_id)[0] == 204
    else:
        assert wire.upload(image_id, DATA).status == 204


@pytest.mark.parametrize("error", [StoreUnavailable("Store a does not answer."), DataInUse("Store a refuses.")])
def test_a_cancelled_upload_whose_store_fails_is_over(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It came back after each lease, because its end was never recorded."""
    database = wire.service.deps.database
    image_id: str = wire.create()["id"]
    job = upload_job(image_id, stores=wire.service.deps.stores.needed["a"])
    database.begin_upload(job, 30.0)
    database.cancel_job(job.id)

    def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(wire.service.deps.stores.by_id("a"), "sweep", fail)
    assert settle(wire) == 1
    (ended,) = jobs(wire)
    assert ended.status is JobStatus.CANCELLED
    assert str(error) in ended.message
    assert wire("GET", f"/v2/images/{image_id}").json["status"] == "queued"
    assert settle(wire) == 0
