"""update_image writes only the fields of the change."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from glimpse.db.base import Database
from glimpse.db.sql.tables import image_properties, image_tags, images
from glimpse.domain.clock import now
from glimpse.domain.image import ImageChange
from glimpse.domain.status import Status, Visibility
from glimpse.errors import Conflict, Invalid, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, MOMENT, OWNER, image


def test_columns_that_are_not_named_stay(backend: Backend) -> None:
    stored = image(name="old", min_ram=1, properties={"a": "1"}, tags=("t",))
    backend.database.create_image(stored)
    [before] = backend.rows(images)

    moment = backend.database.update_image(
        stored.id, ImageChange(columns={"name": "new", "visibility": Visibility.PUBLIC, "protected": True})
    )

    [after] = backend.rows(images)
    changed = {"name": "new", "visibility": "public", "protected": True, "updated_at": moment}
    assert after == before | changed
    read = backend.database.get_image(stored.id, OWNER)
    assert (read.updated_at, read.properties, read.tags) == (moment, {"a": "1"}, ("t",))


def test_updated_at_is_the_present(database: Database) -> None:
    stored = image()
    database.create_image(stored)
    moment = database.update_image(stored.id, ImageChange())
    assert timedelta(seconds=-1) <= now() - moment < timedelta(seconds=30)
    assert database.get_image(stored.id, OWNER).updated_at == moment


def test_columns_may_become_null(database: Database) -> None:
    stored = image(name="n", size=5)
    database.create_image(stored)
    database.update_image(stored.id, ImageChange(columns={"name": None, "size": None, "owner": ""}))
    read = database.get_image(stored.id, ADMIN)
    assert (read.name, read.size, read.owner) == (None, None, None)


def test_a_status_is_left_only_where_it_is_named(database: Database) -> None:
    stored = image(status=Status.ACTIVE)
    database.create_image(stored)
    deactivate = ImageChange(columns={"status": Status.DEACTIVATED}, from_status=(Status.ACTIVE,))
    database.update_image(stored.id, deactivate)
    assert database.get_image(stored.id, OWNER).status is Status.DEACTIVATED
    with pytest.raises(Conflict):
        database.update_image(stored.id, deactivate)
    either = ImageChange(columns={"name": "x"}, from_status=(Status.ACTIVE, Status.DEACTIVATED))
    database.update_image(stored.id, either)
    assert database.get_image(stored.id, OWNER).name == "x"


def test_a_refused_change_changes_nothing(backend: Backend) -> None:
    stored = image(name="old", properties={"a": "1"}, tags=("t",))
    backend.database.create_image(stored)
    before = (backend.rows(images), backend.rows(image_properties), backend.rows(image_tags))
    changes = [
        ImageChange(columns={"name": "new"}, set_properties={"a": "2"}, from_status=(Status.ACTIVE,)),
        ImageChange(columns={"name": "new"}, set_properties={"a": "2"}, drop_properties=("b",)),
        ImageChange(columns={"name": "new"}, set_properties={"b": "2"}, add_tags=("u",), drop_tags=("v",)),
    ]
    for change, error in zip(changes, [Conflict, Conflict, NotFound], strict=True):
        with pytest.raises(error):
            backend.database.update_image(stored.id, change)
        assert (backend.rows(images), backend.rows(image_properties), backend.rows(image_tags)) == before


@pytest.mark.parametrize("change", [ImageChange(columns={"name": "x"}), ImageChange(from_status=(Status.QUEUED,))])
def test_images_that_are_gone(database: Database, change: ImageChange) -> None:
    stored = image()
    database.create_image(stored)
    database.delete_without_data(stored.id)
    for image_id in (stored.id, "5a8c8a04-e47f-4982-86ad-59b3a4cc524a", "x" * 37, "\x00"):
        with pytest.raises(NotFound):
            database.update_image(image_id, change)


def test_columns_that_no_request_may_change(database: Database) -> None:
    stored = image()
    database.create_image(stored)
    for column in ("id", "created_at", "updated_at", "deleted", "deleted_at", "tags", "nonsense"):
        with pytest.raises(Invalid):
            database.update_image(stored.id, ImageChange(columns={column: None}))


def test_properties_are_set_changed_dropped_and_revived(backend: Backend) -> None:
    stored = image(properties={"keep": "1", "change": "1", "drop": "1"})
    backend.database.create_image(stored)

    moment = backend.database.update_image(
        stored.id, ImageChange(set_properties={"new": "2", "change": None}, drop_properties=("drop",))
    )

    assert backend.database.get_image(stored.id, OWNER).properties == {"keep": "1", "change": None, "new": "2"}
    rows = {row["name"]: row for row in backend.rows(image_properties)}
    assert (rows["drop"]["deleted"], rows["drop"]["deleted_at"], rows["drop"]["value"]) == (True, moment, "1")
    assert rows["change"]["updated_at"] == moment
    assert (rows["new"]["created_at"], rows["new"]["updated_at"]) == (moment, moment)
    assert rows["keep"]["updated_at"] == MOMENT

    revived = backend.database.update_image(stored.id, ImageChange(set_properties={"drop": "1"}))

    [row] = backend.rows(image_properties, name="drop")
    # a live row keeps no deleted_at, or a purge would take it (database 6)
    assert (row["deleted"], row["deleted_at"], row["id"]) == (False, None, rows["drop"]["id"])
    assert (row["created_at"], row["updated_at"]) == (MOMENT, revived)


def test_a_property_that_stays_the_same_is_not_touched(backend: Backend) -> None:
    stored = image(properties={"a": "1", "null": None})
    backend.database.create_image(stored)
    before = backend.rows(image_properties)
    backend.database.update_image(stored.id, ImageChange(set_properties={"a": "1", "null": None}))
    assert backend.rows(image_properties) == before


def test_a_value_may_differ_in_case_only(backend: Backend) -> None:
    stored = image(properties={"a": "x"})
    backend.database.create_image(stored)
    moment = backend.database.update_image(stored.id, ImageChange(set_properties={"a": "X"}))
    [row] = backend.rows(image_properties)
    assert (row["value"], row["updated_at"]) == ("X", moment)


def test_a_dropped_property_cannot_be_dropped_again(database: Database) -> None:
    stored = image(properties={"a": "1"})
    database.create_image(stored)
    change = ImageChange(drop_properties=("a",))
    database.update_image(stored.id, change)
    with pytest.raises(Conflict):
        database.update_image(stored.id, change)


def test_the_lock_of_an_import_is_removed(backend: Backend) -> None:
    stored = image(properties={"os_glance_import_task": "1", "a": "1"})
    backend.database.create_image(stored)
    change = ImageChange(drop_properties=("os_glance_import_task", "a"))
    backend.database.update_image(stored.id, change)
    assert [row["name"] for row in backend.rows(image_properties)] == ["a"]
    with pytest.raises(Conflict):
        backend.database.update_image(stored.id, ImageChange(drop_properties=("os_glance_import_task",)))


def test_names_that_differ_in_case(backend: Backend) -> None:
    """MySQL's unique key takes them for one: refused there, never merged (database 15.1)."""
    stored = image(properties={"a": "1"})
    backend.database.create_image(stored)
    change = ImageChange(set_properties={"A": "2"})
    both = ImageChange(set_properties={"b": "3", "B": "4"})
    if backend.kind == "mysql":
        for refused in (change, both):
            with pytest.raises(Conflict):
                backend.database.update_image(stored.id, refused)
        with pytest.raises(Conflict):
            backend.database.create_image(image(properties={"a": "1", "A": "2"}))
        assert backend.database.get_image(stored.id, OWNER).properties == {"a": "1"}
        backend.database.update_image(stored.id, ImageChange(drop_properties=("a",)))
        backend.database.update_image(stored.id, change)
        assert backend.database.get_image(stored.id, OWNER).properties == {"A": "2"}
    else:
        backend.database.update_image(stored.id, change)
        backend.database.update_image(stored.id, both)
        assert backend.database.get_image(stored.id, OWNER).properties == {"a": "1", "A": "2", "b": "3", "B": "4"}


def test_tags_are_replaced(backend: Backend) -> None:
    stored = image(tags=("stay", "go"))
    backend.database.create_image(stored)
    moment = backend.database.update_image(stored.id, ImageChange(tags=("new", "stay", "new")))
    assert backend.database.get_image(stored.id, OWNER).tags == ("stay", "new")
    rows = {row["value"]: row for row in backend.rows(image_tags)}
    assert len(backend.rows(image_tags)) == 3
    assert (rows["go"]["deleted"], rows["go"]["deleted_at"]) == (True, moment)
    assert (rows["stay"]["updated_at"], rows["new"]["created_at"]) == (MOMENT, moment)
    backend.database.update_image(stored.id, ImageChange(tags=()))
    assert backend.database.get_image(stored.id, OWNER).tags == ()


def test_a_tag_that_comes_back_is_a_new_row(backend: Backend) -> None:
    stored = image(tags=("t",))
    backend.database.create_image(stored)
    backend.database.update_image(stored.id, ImageChange(drop_tags=("t",)))
    backend.database.update_image(stored.id, ImageChange(add_tags=("t", "t")))
    backend.database.update_image(stored.id, ImageChange(add_tags=("t",)))
    assert backend.database.get_image(stored.id, OWNER).tags == ("t",)
    dead, live = backend.rows(image_tags)
    assert (dead["deleted"], live["deleted"], live["deleted_at"]) == (True, False, None)


def test_a_tag_that_is_not_there_cannot_be_dropped(database: Database) -> None:
    stored = image(tags=("t",))
    database.create_image(stored)
    database.update_image(stored.id, ImageChange(drop_tags=("t",)))
    for tag in ("t", "u", "\U0001f600", "\x00"):
        with pytest.raises(NotFound):
            database.update_image(stored.id, ImageChange(drop_tags=(tag,)))


def test_a_location_and_a_member_stay_as_they_are(backend: Backend) -> None:
    from glimpse.db.sql.tables import image_locations, image_members
    from glimpse.domain.image import Location

    stored = image(locations=(Location(url="u"), Location(url="v", status="pending")))
    backend.database.create_image(stored)
    backend.share(stored.id, "project-b")
    before = (backend.rows(image_locations), backend.rows(image_members))
    backend.database.update_image(stored.id, ImageChange(columns={"name": "n"}, set_properties={"a": "1"}))
    assert (backend.rows(image_locations), backend.rows(image_members)) == before


def test_a_deleted_row_of_glance_with_the_same_name_is_revived(backend: Backend) -> None:
    stored = image(properties={"a": "1"})
    backend.database.create_image(stored)
    backend.execute(sa.update(image_properties).values(deleted=True, deleted_at=MOMENT))
    assert backend.database.get_image(stored.id, OWNER).properties == {}
    backend.database.update_image(stored.id, ImageChange(set_properties={"a": "1"}))
    assert backend.database.get_image(stored.id, OWNER).properties == {"a": "1"}
    [row] = backend.rows(image_properties)
    assert (row["deleted"], row["deleted_at"]) == (False, None)
