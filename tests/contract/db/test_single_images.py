"""create_image and get_image."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from glimpse.db.base import Database
from glimpse.db.records import Viewer
from glimpse.db.sql.tables import image_locations, image_properties, image_tags, images
from glimpse.domain.image import Location
from glimpse.domain.status import Status, Visibility
from glimpse.errors import Duplicate, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, MOMENT, NOBODY, OWNER, STRANGER, image


def test_everything_that_is_stored_is_read_back(backend: Backend) -> None:
    stored = image(
        name="debian é ☃",
        status=Status.ACTIVE,
        visibility=Visibility.COMMUNITY,
        disk_format="raw",
        container_format="bare",
        size=2**40,
        virtual_size=2**41,
        checksum="0" * 32,
        os_hash_algo="sha512",
        os_hash_value="f" * 128,
        min_disk=2**31 - 1,
        min_ram=3,
        protected=True,
        os_hidden=True,
        created_at=MOMENT.replace(microsecond=123456),
        updated_at=MOMENT.replace(microsecond=654321),
        properties={"b": "2", "a": "1", "empty": "", "null": None, "": "no name"},
        tags=("z", "a", "ü"),
        locations=(
            Location(url="file:///b", metadata={"store": "b", "deep": {"é": [1, None]}}),
            Location(url="file:///a"),
        ),
    )
    backend.database.create_image(stored)

    read = backend.database.get_image(stored.id, OWNER)

    assert [location.id for location in read.locations] == sorted(filter(None, (x.id for x in read.locations)))
    assert len({location.id for location in read.locations}) == 2
    plain = msgspec.structs.replace(
        read, locations=tuple(msgspec.structs.replace(location, id=None) for location in read.locations)
    )
    assert plain == msgspec.structs.replace(
        stored, created_at=backend.as_kept(stored.created_at), updated_at=backend.as_kept(stored.updated_at)
    )
    assert type(read.status) is Status
    assert type(read.visibility) is Visibility
    assert type(read.protected) is bool


def test_an_image_may_have_nothing(database: Database) -> None:
    stored = image(owner=None)
    database.create_image(stored)
    assert database.get_image(stored.id, ADMIN) == stored


def test_an_empty_owner_is_none(backend: Backend) -> None:
    stored = image(owner="")
    backend.database.create_image(stored)
    assert backend.database.get_image(stored.id, ADMIN).owner is None
    assert backend.rows(images, id=stored.id)[0]["owner"] is None


def test_raw_rows_of_a_new_image(backend: Backend) -> None:
    stored = image(properties={"a": "1"}, tags=("t",), locations=(Location(url="u", metadata={"store": "é", "n": 1}),))
    backend.database.create_image(stored)
    live = {"image_id": stored.id, "created_at": MOMENT, "updated_at": MOMENT, "deleted_at": None, "deleted": False}
    [row] = backend.rows(images)
    assert (row["deleted"], row["deleted_at"]) == (False, None)
    [row] = backend.rows(image_properties)
    assert row == {"id": row["id"], "name": "a", "value": "1", **live}
    [row] = backend.rows(image_tags)
    assert row == {"id": row["id"], "value": "t", **live}
    [row] = backend.rows(image_locations)
    # ASCII-escaped, separators ", " and ": " (database 1.6)
    metadata = '{"store": "\\u00e9", "n": 1}'
    assert row == {"id": row["id"], "value": "u", "meta_data": metadata, "status": "active", **live}


def test_metadata_without_keys_are_an_empty_object(backend: Backend) -> None:
    backend.database.create_image(image(locations=(Location(url="u"),)))
    assert backend.rows(image_locations)[0]["meta_data"] == "{}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"backend": "fast"}', {"store": "fast"}),
        ('{"backend": "old", "store": "new"}', {"backend": "old", "store": "new"}),
        ("{}", {}),
        (None, {}),
    ],
)
def test_metadata_of_glance(backend: Backend, text: str | None, expected: dict[str, str]) -> None:
    stored = image(locations=(Location(url="u"),))
    backend.database.create_image(stored)
    backend.execute(sa.update(image_locations).values(meta_data=text))
    assert backend.database.get_image(stored.id, OWNER).locations[0].metadata == expected


def test_tags_of_a_new_image_are_a_set(backend: Backend) -> None:
    stored = image(tags=("b", "a", "b"))
    backend.database.create_image(stored)
    assert backend.database.get_image(stored.id, OWNER).tags == ("b", "a")
    assert len(backend.rows(image_tags)) == 2


def test_an_id_is_taken_once(database: Database) -> None:
    first = image(name="first", properties={"a": "1"})
    database.create_image(first)
    with pytest.raises(Duplicate):
        database.create_image(image(id=first.id, name="second", properties={"b": "2"}))
    assert database.get_image(first.id, OWNER) == first


def test_the_id_of_a_deleted_image_stays_taken(database: Database) -> None:
    first = image()
    database.create_image(first)
    database.delete_without_data(first.id)
    with pytest.raises(Duplicate):
        database.create_image(image(id=first.id))


@pytest.mark.parametrize("viewer", [ADMIN, OWNER, STRANGER, NOBODY])
@pytest.mark.parametrize(
    "image_id", ["5a8c8a04-e47f-4982-86ad-59b3a4cc524a", "", "detail", "x" * 37, "\U0001f600", "\x00", "\ud800"]
)
def test_ids_that_are_not_there(database: Database, viewer: Viewer, image_id: str) -> None:
    with pytest.raises(NotFound):
        database.get_image(image_id, viewer)


def test_a_long_id_asks_the_database_nothing(backend: Backend) -> None:
    with backend.counting() as statements, pytest.raises(NotFound):
        backend.database.get_image("x" * 37, ADMIN)
    assert statements == []


@pytest.mark.parametrize("viewer", [ADMIN, OWNER])
def test_a_deleted_image_is_not_there(database: Database, viewer: Viewer) -> None:
    stored = image(visibility=Visibility.PUBLIC)
    database.create_image(stored)
    database.delete_without_data(stored.id)
    with pytest.raises(NotFound):
        database.get_image(stored.id, viewer)


def test_a_killed_image_can_be_read(database: Database) -> None:
    stored = image(status=Status.KILLED)
    database.create_image(stored)
    assert database.get_image(stored.id, OWNER).status is Status.KILLED


def test_only_active_locations_are_read(backend: Backend) -> None:
    stored = image(
        locations=(
            Location(url="pending://parallel-import/1/a", status="pending"),
            Location(url="file:///a"),
            Location(url="file:///b", status="uploading"),
        )
    )
    backend.database.create_image(stored)
    assert [location.url for location in backend.database.get_image(stored.id, OWNER).locations] == ["file:///a"]


def test_an_updated_at_that_glance_left_out_is_the_creation(backend: Backend) -> None:
    stored = image()
    backend.database.create_image(stored)
    backend.execute(sa.update(images).values(updated_at=None))
    assert backend.database.get_image(stored.id, OWNER).updated_at == stored.created_at


def test_membership_is_the_viewers_own(backend: Backend) -> None:
    stored = image(visibility=Visibility.SHARED)
    backend.database.create_image(stored)
    backend.share(stored.id, "project-b", "rejected")
    backend.share(stored.id, "project-c", "accepted")
    assert backend.database.get_image(stored.id, STRANGER).membership == "rejected"
    assert backend.database.get_image(stored.id, OWNER).membership is None


def test_a_failed_creation_leaves_nothing(backend: Backend) -> None:
    stored = image(id="", locations=(Location(url="x" * 70000),), properties={"a": "1"})
    with pytest.raises(Exception, match="longer than"):
        backend.database.create_image(stored)
    assert backend.rows(images) == []
    assert backend.rows(image_properties) == []
