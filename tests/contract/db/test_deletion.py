"""begin_delete, finish_delete, cancel_delete, and the rows that a deletion leaves (database 6)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from glimpse.db.base import Database
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import image_locations, image_members, image_properties, image_tags, images
from glimpse.domain.clock import now
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.job import Job, JobChange, JobStatus
from glimpse.domain.status import Status, Visibility
from glimpse.errors import Conflict, Gone, LeaseLost, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import (
    ADMIN,
    LIFETIME,
    MOMENT,
    OVER,
    OWNER,
    STORED,
    deletion_job,
    image,
    removal_job,
    upload_job,
)

REFUSED = JobChange(status=JobStatus.FAILED, message="in use")
CHILDREN = (image_properties, image_tags, image_members, image_locations)


def active(database: Database, **fields: object) -> Image:
    values: dict[str, object] = {"status": Status.ACTIVE, "locations": (Location(url="file:///a"),)}
    stored = image(**(values | fields))
    database.create_image(stored)
    return stored


def test_a_deleted_image_and_its_children_are_marked(backend: Backend) -> None:
    database = backend.database
    stored = active(database, properties={"a": "1", "b": "2"}, tags=("s", "t"), visibility=Visibility.SHARED)
    other = active(database, properties={"a": "1"}, tags=("t",))
    database.update_image(stored.id, ImageChange(drop_properties=("b",), drop_tags=("s",)))
    backend.execute(sa.update(image_properties).where(image_properties.c.name == "b").values(deleted_at=MOMENT))
    backend.share(stored.id, "project-b")
    held = deletion_job(stored.id)
    database.begin_deletion(held, LIFETIME, from_status=Status.ACTIVE)

    moment = database.finish_deletion(held)

    [row] = backend.rows(images, id=stored.id)
    assert (row["deleted"], row["deleted_at"], row["status"]) == (True, moment, "deleted")
    assert row["updated_at"] == moment
    for table in CHILDREN:
        rows = backend.rows(table, image_id=stored.id)
        assert rows
        assert all(row["deleted"] for row in rows)
        assert all(row["deleted_at"] == moment for row in rows if row.get("name") != "b" and row.get("value") != "s")
    assert backend.rows(image_properties, name="b")[0]["deleted_at"] == MOMENT
    assert backend.rows(image_locations, image_id=stored.id)[0]["status"] == "deleted"
    assert backend.rows(jobs) == []
    assert database.get_image(other.id, OWNER).tags == ("t",)


def test_an_image_without_data_needs_no_job(database: Database) -> None:
    stored = image(status=Status.SAVING, properties={"a": "1"})
    database.create_image(stored)
    database.delete_without_data(stored.id)
    with pytest.raises(NotFound):
        database.get_image(stored.id, ADMIN)


@pytest.mark.parametrize("status", ["active", "pending", "uploading"])
def test_without_a_job_an_image_with_data_stays(backend: Backend, status: str) -> None:
    stored = active(backend.database, locations=(Location(url="u", status=status),))
    with pytest.raises(Conflict):
        backend.database.delete_without_data(stored.id)
    assert backend.rows(images)[0]["deleted"] is False
    assert backend.rows(image_locations)[0]["deleted"] is False


def test_without_a_job_former_data_do_not_matter(backend: Backend) -> None:
    stored = active(backend.database)
    backend.execute(sa.update(image_locations).values(deleted=True, deleted_at=MOMENT, status="deleted"))
    backend.database.delete_without_data(stored.id)
    assert backend.rows(image_locations)[0]["deleted_at"] == MOMENT


def test_a_protected_image_stays(backend: Backend) -> None:
    with_data = active(backend.database, protected=True)
    with pytest.raises(Conflict, match="protected"):
        backend.database.begin_deletion(deletion_job(with_data.id), LIFETIME, from_status=Status.ACTIVE)
    without = image(protected=True)
    backend.database.create_image(without)
    with pytest.raises(Conflict, match="protected"):
        backend.database.delete_without_data(without.id)
    assert backend.rows(jobs) == []
    assert not any(row["deleted"] for row in backend.rows(images))


def test_a_deletion_names_the_status_that_it_leaves(backend: Backend) -> None:
    stored = active(backend.database)
    with pytest.raises(Conflict):
        backend.database.begin_deletion(deletion_job(stored.id), LIFETIME, from_status=Status.DEACTIVATED)
    assert backend.rows(jobs) == []


def test_images_that_are_gone_cannot_be_deleted(database: Database) -> None:
    stored = image()
    database.create_image(stored)
    database.delete_without_data(stored.id)
    for image_id in (stored.id, "5a8c8a04-e47f-4982-86ad-59b3a4cc524a", "x" * 37):
        with pytest.raises(NotFound):
            database.begin_deletion(deletion_job(stored.id), LIFETIME, from_status=Status.QUEUED)
        with pytest.raises(NotFound):
            database.delete_without_data(image_id)
        with pytest.raises(NotFound):
            database.finish_deletion(deletion_job(stored.id))


def test_one_deletion_at_a_time(backend: Backend) -> None:
    stored = active(backend.database)
    first, second = deletion_job(stored.id), deletion_job(stored.id, claimed_by="worker-2")
    backend.database.begin_deletion(first, LIFETIME, from_status=Status.ACTIVE)
    with pytest.raises(Conflict):
        backend.database.begin_deletion(second, LIFETIME, from_status=Status.ACTIVE)
    [row] = backend.rows(jobs)
    assert (row["id"], row["image_id"], row["type"], row["stores"]) == (first.id, stored.id, "image_deletion", None)


def test_a_cancelled_deletion_leaves_the_image(backend: Backend) -> None:
    stored = active(backend.database, properties={"a": "1"})
    [before] = backend.rows(images)
    held = deletion_job(stored.id)
    backend.database.begin_deletion(held, LIFETIME, from_status=Status.ACTIVE)
    backend.database.save_job(held, REFUSED)
    assert backend.rows(images) == [before]
    assert (backend.database.count_jobs(), backend.database.get_job(held.id).message) == ({}, "in use")
    held = deletion_job(stored.id)
    backend.database.begin_deletion(held, LIFETIME, from_status=Status.ACTIVE)


def test_a_deletion_that_was_taken_over_is_not_cancelled(backend: Backend) -> None:
    stored = active(backend.database)
    held = deletion_job(stored.id)
    backend.database.begin_deletion(held, OVER, from_status=Status.ACTIVE)
    assert backend.database.claim_job(held, "worker-2", LIFETIME) is not None
    with pytest.raises(LeaseLost):
        backend.database.save_job(held, REFUSED)
    with pytest.raises(LeaseLost):
        backend.database.finish_deletion(held)
    assert backend.database.get_image(stored.id, OWNER).status is Status.ACTIVE
    assert backend.rows(jobs)[0]["claimed_by"] == "worker-2"


def test_two_live_members_of_one_project_do_not_stop_a_deletion(backend: Backend) -> None:
    """Glance can leave them (database 15.6), and its unique key forbids one ``deleted_at`` for both."""
    stored = image()
    backend.database.create_image(stored)
    for status in ("accepted", "pending"):
        backend.share(stored.id, "project-b", status)
    backend.share(stored.id, "project-c")
    moment = backend.database.delete_without_data(stored.id)
    rows = backend.rows(image_members)
    assert all(row["deleted"] for row in rows)
    assert sorted(row["member"] for row in rows if row["deleted_at"] == moment) == ["project-b", "project-c"]


def test_a_member_removed_in_the_same_second_does_not_stop_a_deletion(backend: Backend) -> None:
    stored = image()
    backend.database.create_image(stored)
    for _ in range(4):
        backend.share(stored.id, "project-b", "rejected")
        # whichever second the deletion falls into, MySQL's ``deleted_at`` may be one of these
        moment = now().replace(microsecond=0) + timedelta(seconds=len(backend.rows(image_members)) - 1)
        backend.execute(
            sa.update(image_members).where(~image_members.c.deleted).values(deleted=True, deleted_at=moment)
        )
    backend.share(stored.id, "project-b")
    backend.database.delete_without_data(stored.id)
    assert all(row["deleted"] for row in backend.rows(image_members))


def test_the_upload_of_a_deleted_image_keeps_its_job(backend: Backend) -> None:
    """Its data are still to be removed, by whoever ends the upload."""
    stored = image()
    backend.database.create_image(stored)
    upload = upload_job(stored.id)
    backend.database.begin_upload(upload, LIFETIME)
    backend.database.delete_without_data(stored.id)
    assert [row["id"] for row in backend.rows(jobs)] == [upload.id]
    assert backend.database.cancel_upload(upload) is False
    assert backend.rows(jobs) == []


class TestLocationsDuringADeletion:
    """The copies that a deletion removes are those that it got when it began: the image gets no other."""

    def begun(self, database: Database, **fields: object) -> tuple[Image, Job, list[Location]]:
        stored = active(database, **fields)
        job = deletion_job(stored.id)
        return stored, job, database.begin_deletion(job, LIFETIME, from_status=stored.status)

    def test_a_deletion_gets_the_locations_of_the_moment_when_it_begins(self, database: Database) -> None:
        """One that was recorded after the image was read would stay as an orphan otherwise."""
        stored = active(database)
        database.update_image(stored.id, ImageChange(add_locations=(Location(url="file:///b", metadata={"x": "y"}),)))
        found = database.begin_deletion(deletion_job(stored.id), LIFETIME, from_status=Status.ACTIVE)
        assert [(one.url, one.metadata) for one in found] == [("file:///a", {}), ("file:///b", {"x": "y"})]
        assert list(database.get_image(stored.id, OWNER).locations) == found

    def test_no_change_adds_one(self, database: Database) -> None:
        stored, job, _ = self.begun(database)
        with pytest.raises(Conflict, match="being deleted"):
            database.update_image(stored.id, ImageChange(add_locations=(Location(url="file:///b"),)))
        database.update_image(stored.id, ImageChange(columns={"name": "n"}))
        database.save_job(job, REFUSED)
        database.update_image(stored.id, ImageChange(add_locations=(Location(url="file:///b"),)))

    def test_no_job_adds_one(self, database: Database) -> None:
        stored, _, _ = self.begun(database)
        added = Job(
            id="1" * 32, type="location_check", input={"image_id": stored.id}, image_id=stored.id, created_at=MOMENT,
            updated_at=MOMENT,
        )  # fmt: skip
        with pytest.raises(Conflict, match="being deleted"):
            database.add_job(added, ImageChange(add_locations=(Location(url="file:///b"),)))

    def test_no_removal_takes_one(self, database: Database) -> None:
        two = (Location(url="file:///a"), Location(url="file:///b"))
        stored, _, found = self.begun(database, locations=two)
        with pytest.raises(Conflict, match="being deleted"):
            database.begin_location_removal(removal_job(stored.id, "file:///a"), LIFETIME, found[0].id or 0)

    def test_no_upload_begins_or_ends(self, backend: Backend) -> None:
        """A queued image can have the location of a failed import."""
        database = backend.database
        stored, job, _ = self.begun(database, status=Status.QUEUED)
        with pytest.raises(Conflict, match="being deleted"):
            database.begin_upload(upload_job(stored.id), LIFETIME)
        assert database.get_image(stored.id, OWNER).status is Status.QUEUED
        database.save_job(job, REFUSED)
        upload = upload_job(stored.id)
        database.begin_upload(upload, LIFETIME)
        database.begin_deletion(deletion_job(stored.id), LIFETIME, from_status=Status.SAVING)
        with pytest.raises(Gone, match="being deleted"):
            database.finish_upload(upload, STORED)
        assert database.get_image(stored.id, OWNER).status is Status.SAVING


def test_a_copy_that_is_gone_leaves_the_record_in_the_same_step(database: Database) -> None:
    stored = active(database, locations=(Location(url="file:///a"), Location(url="file:///b")))
    job = deletion_job(stored.id)
    first, _ = database.begin_deletion(job, LIFETIME, from_status=Status.ACTIVE)
    database.save_job(job, JobChange(), ImageChange(drop_locations=(first.id or 0,)))
    assert [one.url for one in database.get_image(stored.id, OWNER).locations] == ["file:///b"]
    lost = deletion_job(stored.id, id=job.id, generation=0)
    with pytest.raises(LeaseLost):
        database.save_job(lost, JobChange(), ImageChange(drop_locations=(2,)))


def test_copies_that_wait_become_jobs_when_the_image_is_deleted(database: Database) -> None:
    stored = active(database)
    job = deletion_job(stored.id)
    database.begin_deletion(job, LIFETIME, from_status=Status.ACTIVE)
    waiting = removal_job(
        stored.id, "rbd://a/b", stores=("ceph2",), status=JobStatus.PENDING, claimed_by=None, attempt=0, generation=0
    )
    database.finish_deletion(job, [waiting])
    with pytest.raises(NotFound):
        database.get_image(stored.id, ADMIN)
    assert database.due_jobs(["copy_removal"], stores=["fast"], limit=9) == []
    (found,) = database.due_jobs(["copy_removal"], stores=["ceph2"], limit=9)
    assert (found.id, found.input["url"], found.image_id) == (waiting.id, "rbd://a/b", stored.id)


def test_a_recovered_deletion_stays_as_a_record(database: Database) -> None:
    stored = active(database)
    job = deletion_job(stored.id)
    database.begin_deletion(job, OVER, from_status=Status.ACTIVE)
    taken = database.claim_job(job, "worker-2", LIFETIME)
    assert taken is not None
    with pytest.raises(LeaseLost):
        database.finish_deletion(job)
    database.finish_deletion(taken, (), JobChange(status=JobStatus.SUCCEEDED, message="carried out"))
    assert (database.get_job(job.id).status, database.get_job(job.id).message) == (JobStatus.SUCCEEDED, "carried out")
