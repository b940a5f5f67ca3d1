"""begin_upload, finish_upload, cancel_upload: one holder at a time, fenced after a takeover."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from glimpse.db.base import Database
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import image_locations, image_properties, images
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job import Job, JobChange, JobStatus
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Gone, Invalid, LeaseLost, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import LIFETIME, OVER, OWNER, STORED, image, upload_job


def begun(database: Database, lifetime: float = LIFETIME, **fields: object) -> tuple[Image, Job]:
    stored = image(**fields)
    database.create_image(stored)
    held = upload_job(stored.id)
    database.begin_upload(held, lifetime)
    return stored, held


def failed(reason: str) -> JobChange:
    return JobChange(status=JobStatus.FAILED, message=reason)


def taken_over(database: Database, held: Job) -> Job:
    taken = database.claim_job(held, "worker-2", LIFETIME)
    assert taken is not None
    return taken


def test_an_upload_from_begin_to_end(backend: Backend) -> None:
    database = backend.database
    stored, held = begun(database, properties={"a": "1"}, tags=("t",))
    assert database.get_image(stored.id, OWNER).status is Status.SAVING
    assert database.count_jobs() == {"upload": {"running": 1}}

    moment = database.finish_upload(held, STORED)

    read = database.get_image(stored.id, OWNER)
    assert read == msgspec.structs.replace(
        stored,
        status=Status.ACTIVE,
        size=STORED.size,
        virtual_size=STORED.virtual_size,
        checksum=STORED.checksum,
        os_hash_algo=STORED.os_hash_algo,
        os_hash_value=STORED.os_hash_value,
        updated_at=moment,
        locations=(msgspec.structs.replace(STORED.location, id=read.locations[0].id),),
    )
    assert database.count_jobs() == {}
    [row] = backend.rows(image_locations)
    assert (row["deleted"], row["deleted_at"], row["meta_data"]) == (False, None, '{"store": "fast"}')


def test_beginning_changes_updated_at(database: Database) -> None:
    stored, _ = begun(database)
    assert database.get_image(stored.id, OWNER).updated_at > stored.updated_at


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.QUEUED])
def test_only_a_queued_image_takes_data(backend: Backend, status: Status) -> None:
    stored = image(status=status)
    backend.database.create_image(stored)
    with pytest.raises(Conflict):
        backend.database.begin_upload(upload_job(stored.id), LIFETIME)
    assert backend.rows(jobs) == []
    assert backend.rows(images)[0]["status"] == status


def test_an_upload_begins_only_under_the_formats_that_its_data_are_inspected_for(backend: Backend) -> None:
    stored = image(disk_format="raw", container_format="bare")
    backend.database.create_image(stored)
    for formats in (("raw", "ovf"), ("qcow2", "bare"), ("bare", "raw")):
        with pytest.raises(Conflict, match="formats"):
            backend.database.begin_upload(upload_job(stored.id), LIFETIME, formats=formats)
    assert backend.rows(jobs) == []
    assert backend.rows(images)[0]["status"] == "queued"
    backend.database.begin_upload(upload_job(stored.id), LIFETIME, formats=("raw", "bare"))
    with pytest.raises(Conflict, match="saving"):
        backend.database.begin_upload(upload_job(stored.id), LIFETIME, formats=("raw", "bare"))


def test_images_that_are_gone_take_no_data(backend: Backend) -> None:
    stored = image()
    backend.database.create_image(stored)
    backend.database.delete_without_data(stored.id)
    for image_id in (stored.id, "5a8c8a04-e47f-4982-86ad-59b3a4cc524a", "x" * 37):
        with pytest.raises(NotFound):
            backend.database.begin_upload(upload_job(image_id), LIFETIME)
    assert backend.rows(jobs) == []


def test_the_second_claim_loses(backend: Backend) -> None:
    stored, held = begun(backend.database)
    with pytest.raises(Conflict):
        backend.database.begin_upload(upload_job(stored.id, claimed_by="worker-2"), LIFETIME)
    [row] = backend.rows(jobs)
    assert (row["id"], row["claimed_by"]) == (held.id, "worker-1")


def test_a_job_left_from_a_former_upload_is_replaced(backend: Backend) -> None:
    """Somebody else, such as Glance, queued the image again."""
    stored, stale = begun(backend.database)
    backend.execute(sa.update(images).values(status="queued"))
    fresh = upload_job(stored.id, claimed_by="worker-2")
    backend.database.begin_upload(fresh, LIFETIME)
    with pytest.raises(Gone):
        backend.database.finish_upload(stale, STORED)
    assert backend.database.cancel_upload(stale) is False
    backend.database.finish_upload(fresh, STORED)
    assert backend.database.get_image(stored.id, OWNER).status is Status.ACTIVE


def test_properties_are_dropped_with_the_end(backend: Backend) -> None:
    stored, held = begun(backend.database, properties={"os_glance_stage_host": "http://a", "keep": "1"})
    moment = backend.database.finish_upload(held, STORED, drop_properties=("os_glance_stage_host",))
    assert backend.database.get_image(stored.id, OWNER).properties == {"keep": "1"}
    assert backend.rows(image_properties, name="os_glance_stage_host")[0]["deleted_at"] == moment


def test_properties_are_set_with_the_end(backend: Backend) -> None:
    stored, held = begun(backend.database, properties={"kept": "1", "again": "1"})
    wanted: dict[str, str | None] = {"new": "2", "again": "2"}
    moment = backend.database.finish_upload(held, STORED, drop_properties=("again",), set_properties=wanted)
    assert backend.database.get_image(stored.id, OWNER).properties == {"kept": "1", **wanted}
    [row] = backend.rows(image_properties, name="again")
    assert (row["deleted"], row["updated_at"]) == (0, moment)


def test_a_change_meanwhile_is_not_undone(database: Database) -> None:
    stored, held = begun(database, name="old", properties={"a": "1"})
    database.update_image(stored.id, ImageChange(columns={"name": "new"}, set_properties={"b": "2"}))
    database.finish_upload(held, STORED)
    read = database.get_image(stored.id, OWNER)
    assert (read.name, read.properties) == ("new", {"a": "1", "b": "2"})


def refuse(backend: Backend, held: Job) -> None:
    before = (backend.rows(images), backend.rows(image_locations), backend.rows(jobs))
    with pytest.raises(Gone):
        backend.database.finish_upload(held, STORED)
    assert (backend.rows(images), backend.rows(image_locations), backend.rows(jobs)) == before


def test_an_end_after_the_image_was_deleted(backend: Backend) -> None:
    stored, held = begun(backend.database)
    backend.database.delete_without_data(stored.id)
    refuse(backend, held)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SAVING])
def test_an_end_after_the_image_left_saving(backend: Backend, status: Status) -> None:
    _, held = begun(backend.database)
    backend.execute(sa.update(images).values(status=status.value))
    refuse(backend, held)


def test_an_end_after_the_job_was_taken_over(backend: Backend) -> None:
    stored, held = begun(backend.database, OVER)
    taken = taken_over(backend.database, held)
    refuse(backend, held)
    backend.database.finish_upload(taken, STORED)
    assert backend.database.get_image(stored.id, OWNER).status is Status.ACTIVE


@pytest.mark.parametrize("wrong", [{"generation": 2}, {"generation": 0}, {"claimed_by": "worker-2"}, {"id": "f" * 32}])
def test_an_end_with_another_claim(backend: Backend, wrong: dict[str, object]) -> None:
    _, held = begun(backend.database)
    refuse(backend, msgspec.structs.replace(held, **wrong))


def test_an_end_of_an_image_that_cannot_be(database: Database) -> None:
    with pytest.raises(Gone):
        database.finish_upload(upload_job("x" * 37), STORED)


def test_an_end_that_fails_changes_nothing(backend: Backend) -> None:
    _, held = begun(backend.database)
    before = (backend.rows(images), backend.rows(image_locations), backend.rows(jobs))
    too_long = msgspec.structs.replace(STORED, location=Location(url="x" * 65536))
    with pytest.raises(Invalid):
        backend.database.finish_upload(held, too_long)
    with pytest.raises(Invalid):
        backend.database.finish_upload(held, STORED, set_properties={"a": "\0"})
    with pytest.raises(Conflict):
        backend.database.finish_upload(held, STORED, drop_properties=("nothing",))
    assert (backend.rows(images), backend.rows(image_locations), backend.rows(jobs)) == before


def test_a_cancelled_upload_can_begin_again(backend: Backend) -> None:
    stored, held = begun(backend.database, size=None)
    backend.execute(
        sa.update(images).values(size=1, virtual_size=2, checksum="c", os_hash_algo="sha512", os_hash_value="h")
    )
    assert backend.database.cancel_upload(held) is True
    read = backend.database.get_image(stored.id, OWNER)
    assert read.status is Status.QUEUED
    assert (read.size, read.virtual_size, read.checksum, read.os_hash_algo, read.os_hash_value) == (None,) * 5
    assert read.properties == {}
    assert backend.rows(jobs) == []
    backend.database.begin_upload(upload_job(stored.id), LIFETIME)


def test_the_reason_of_a_failure_is_shown(database: Database) -> None:
    stored, held = begun(database, properties={"os_glance_failed_upload": "an older one", "a": "1"})
    assert database.cancel_upload(held, failed("The store is full.")) is True
    read = database.get_image(stored.id, OWNER)
    assert read.properties == {"os_glance_failed_upload": "The store is full.", "a": "1"}


def test_a_cancel_after_the_image_left_saving(backend: Backend) -> None:
    stored, held = begun(backend.database)
    backend.database.delete_without_data(stored.id)
    before = (backend.rows(images), backend.rows(image_properties))
    assert backend.database.cancel_upload(held, failed("too late")) is False
    assert (backend.database.count_jobs(), backend.database.get_job(held.id).message) == ({}, "too late")
    assert (backend.rows(images), backend.rows(image_properties)) == before


def test_a_cancel_after_the_job_was_taken_over(backend: Backend) -> None:
    stored, held = begun(backend.database, OVER)
    taken = taken_over(backend.database, held)
    before = (backend.rows(images), backend.rows(jobs), backend.rows(image_properties))
    assert backend.database.cancel_upload(held) is False
    with pytest.raises(LeaseLost):
        backend.database.cancel_upload(held, failed("late"))
    assert (backend.rows(images), backend.rows(jobs), backend.rows(image_properties)) == before
    assert backend.database.cancel_upload(taken) is True
    assert backend.database.get_image(stored.id, OWNER).status is Status.QUEUED


def test_a_second_cancel_does_nothing(database: Database) -> None:
    stored, held = begun(database)
    database.cancel_upload(held)
    second = upload_job(stored.id, claimed_by="worker-2")
    database.begin_upload(second, LIFETIME)
    assert database.cancel_upload(held) is False
    assert database.get_image(stored.id, OWNER).status is Status.SAVING
