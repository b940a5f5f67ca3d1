"""begin_delete, finish_delete, cancel_delete, and the rows that a deletion leaves (database 6)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from glimpse.db.base import Database
from glimpse.db.sql.own_tables import leases
from glimpse.db.sql.tables import image_locations, image_members, image_properties, image_tags, images
from glimpse.domain.clock import now
from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.status import Status, Visibility
from glimpse.errors import Conflict, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, MOMENT, OWNER, image, lease

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
    held = lease(stored.id, "delete")
    database.begin_delete(stored.id, held, from_status=Status.ACTIVE)

    moment = database.finish_delete(stored.id, held)

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
    assert backend.rows(leases) == []
    assert database.get_image(other.id, OWNER).tags == ("t",)


def test_an_image_without_data_needs_no_lease(database: Database) -> None:
    stored = image(status=Status.SAVING, properties={"a": "1"})
    database.create_image(stored)
    database.finish_delete(stored.id, None)
    with pytest.raises(NotFound):
        database.get_image(stored.id, ADMIN)


@pytest.mark.parametrize("status", ["active", "pending", "uploading"])
def test_without_a_lease_an_image_with_data_stays(backend: Backend, status: str) -> None:
    stored = active(backend.database, locations=(Location(url="u", status=status),))
    with pytest.raises(Conflict):
        backend.database.finish_delete(stored.id, None)
    assert backend.rows(images)[0]["deleted"] is False
    assert backend.rows(image_locations)[0]["deleted"] is False


def test_without_a_lease_former_data_do_not_matter(backend: Backend) -> None:
    stored = active(backend.database)
    backend.execute(sa.update(image_locations).values(deleted=True, deleted_at=MOMENT, status="deleted"))
    backend.database.finish_delete(stored.id, None)
    assert backend.rows(image_locations)[0]["deleted_at"] == MOMENT


def test_a_protected_image_stays(backend: Backend) -> None:
    with_data = active(backend.database, protected=True)
    with pytest.raises(Conflict, match="protected"):
        backend.database.begin_delete(with_data.id, lease(with_data.id, "delete"), from_status=Status.ACTIVE)
    without = image(protected=True)
    backend.database.create_image(without)
    with pytest.raises(Conflict, match="protected"):
        backend.database.finish_delete(without.id, None)
    assert backend.rows(leases) == []
    assert not any(row["deleted"] for row in backend.rows(images))


def test_a_deletion_names_the_status_that_it_leaves(backend: Backend) -> None:
    stored = active(backend.database)
    with pytest.raises(Conflict):
        backend.database.begin_delete(stored.id, lease(stored.id, "delete"), from_status=Status.DEACTIVATED)
    assert backend.rows(leases) == []


def test_images_that_are_gone_cannot_be_deleted(database: Database) -> None:
    stored = image()
    database.create_image(stored)
    database.finish_delete(stored.id, None)
    for image_id in (stored.id, "5a8c8a04-e47f-4982-86ad-59b3a4cc524a", "x" * 37):
        with pytest.raises(NotFound):
            database.begin_delete(image_id, lease(stored.id, "delete"), from_status=Status.QUEUED)
        with pytest.raises(NotFound):
            database.finish_delete(image_id, None)
        with pytest.raises(NotFound):
            database.finish_delete(image_id, lease(stored.id, "delete"))


def test_one_deletion_at_a_time(backend: Backend) -> None:
    stored = active(backend.database)
    first, second = lease(stored.id, "delete"), lease(stored.id, "delete", owner="worker-2")
    backend.database.begin_delete(stored.id, first, from_status=Status.ACTIVE)
    with pytest.raises(Conflict):
        backend.database.begin_delete(stored.id, second, from_status=Status.ACTIVE)
    [row] = backend.rows(leases)
    assert (row["id"], row["image_id"], row["purpose"], row["store"]) == (first.id, stored.id, "delete", "fast")


def test_a_cancelled_deletion_leaves_the_image(backend: Backend) -> None:
    stored = active(backend.database, properties={"a": "1"})
    [before] = backend.rows(images)
    held = lease(stored.id, "delete")
    backend.database.begin_delete(stored.id, held, from_status=Status.ACTIVE)
    backend.database.cancel_delete(held)
    assert backend.rows(images) == [before]
    assert backend.rows(leases) == []
    backend.database.cancel_delete(held)
    backend.database.begin_delete(stored.id, held, from_status=Status.ACTIVE)


def test_a_deletion_that_was_taken_over_is_not_cancelled(backend: Backend) -> None:
    stored = active(backend.database)
    held = lease(stored.id, "delete")
    backend.database.begin_delete(stored.id, held, from_status=Status.ACTIVE)
    assert backend.database.take_lease(held, "worker-2", 2000.0) is not None
    backend.database.cancel_delete(held)
    assert backend.rows(leases)[0]["owner"] == "worker-2"


def test_two_live_members_of_one_project_do_not_stop_a_deletion(backend: Backend) -> None:
    """Glance can leave them (database 15.6), and its unique key forbids one ``deleted_at`` for both."""
    stored = image()
    backend.database.create_image(stored)
    for status in ("accepted", "pending"):
        backend.share(stored.id, "project-b", status)
    backend.share(stored.id, "project-c")
    moment = backend.database.finish_delete(stored.id, None)
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
    backend.database.finish_delete(stored.id, None)
    assert all(row["deleted"] for row in backend.rows(image_members))


def test_the_upload_of_a_deleted_image_keeps_its_lease(backend: Backend) -> None:
    """Its data are still to be removed, by whoever ends the upload."""
    stored = image()
    backend.database.create_image(stored)
    upload = lease(stored.id)
    backend.database.begin_upload(stored.id, upload)
    backend.database.finish_delete(stored.id, None)
    assert [row["id"] for row in backend.rows(leases)] == [upload.id]
    assert backend.database.cancel_upload(upload) is False
    assert backend.rows(leases) == []
