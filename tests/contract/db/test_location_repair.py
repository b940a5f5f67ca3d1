"""Completing the metadata of old locations (imports-and-stores 4.5)."""

from __future__ import annotations

import json

import sqlalchemy as sa

from glimpse.db.sql.tables import image_locations, images
from glimpse.domain.image import Location
from glimpse.domain.status import Status
from tests.contract.db.backends import Backend
from tests.contract.db.examples import image


def stored(backend: Backend, metadata: dict[str, object]) -> tuple[str, int]:
    """Ids of an image and of its location."""
    created = image(status=Status.ACTIVE, locations=(Location(url="file:///images/1", metadata=metadata),))
    backend.database.create_image(created)
    return created.id, backend.rows(image_locations, image_id=created.id)[0]["id"]


def test_a_missing_store_is_written_and_nothing_else(backend: Backend) -> None:
    image_id, location_id = stored(backend, {"mountpoint": "/srv"})
    (before,), images_before = backend.rows(image_locations), backend.rows(images)
    assert backend.database.name_location_store(image_id, location_id, "fast")
    (after,) = backend.rows(image_locations)
    assert json.loads(after["meta_data"]) == {"mountpoint": "/srv", "store": "fast"}
    assert {**after, "meta_data": None} == {**before, "meta_data": None}
    assert backend.rows(images) == images_before
    assert not backend.database.name_location_store(image_id, location_id, "cheap")
    assert backend.rows(image_locations) == [after]


def test_a_store_that_is_named_stays(backend: Backend) -> None:
    for metadata in ({"store": "elsewhere"}, {"backend": "elsewhere"}):
        image_id, location_id = stored(backend, dict(metadata))
        assert not backend.database.name_location_store(image_id, location_id, "fast")
        (row,) = backend.rows(image_locations, image_id=image_id)
        assert json.loads(row["meta_data"]) == metadata


def test_a_location_that_is_gone(backend: Backend) -> None:
    image_id, location_id = stored(backend, {})
    assert not backend.database.name_location_store(image_id, location_id + 1, "fast")
    assert not backend.database.name_location_store("another", location_id, "fast")
    backend.execute(sa.update(image_locations).values(deleted=True))
    assert not backend.database.name_location_store(image_id, location_id, "fast")
    assert json.loads(backend.rows(image_locations)[0]["meta_data"]) == {}
