"""Completing the metadata of old locations (imports-and-stores 4.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db.sql.tables import image_locations, images
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.status import Status
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, image


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


OLD, NEW = "s3://access:fake@host/images/1", "s3://host/images/1"


def test_a_url_is_rewritten_and_nothing_else(backend: Backend) -> None:
    locations = (Location(url=OLD, metadata={"x": "y"}), Location(url=OLD), Location(url="file:///images/1"))
    created = image(status=Status.ACTIVE, locations=locations)
    backend.database.create_image(created)
    before, images_before = backend.rows(image_locations), backend.rows(images)
    changed = before[1]["id"]
    assert not backend.database.rewrite_location(created.id, changed, "s3://other@host/images/1", NEW)
    assert not backend.database.rewrite_location("another", changed, OLD, NEW)
    assert not backend.database.rewrite_location(created.id, changed + 9, OLD, NEW)
    assert backend.rows(image_locations) == before
    assert backend.database.rewrite_location(created.id, changed, OLD, NEW)
    assert not backend.database.rewrite_location(created.id, changed, OLD, NEW)
    assert backend.rows(image_locations) == [before[0], {**before[1], "value": NEW}, before[2]]
    assert backend.rows(images) == images_before


def test_the_url_of_a_location_that_is_not_verified_stays(backend: Backend) -> None:
    """The job that checks it finds it by its URL."""
    created = image(status=Status.ACTIVE)
    backend.database.create_image(created)
    backend.database.update_image(created.id, ImageChange(add_locations=(Location(url=OLD),), mark_unverified=True))
    (row,) = backend.rows(image_locations)
    assert not backend.database.rewrite_location(created.id, row["id"], OLD, NEW)
    backend.database.update_image(created.id, ImageChange(verified_locations=(row["id"],)))
    assert backend.database.rewrite_location(created.id, row["id"], OLD, NEW)
    assert [one.url for one in backend.database.get_image(created.id, ADMIN).locations] == [NEW]


@pytest.mark.parametrize("change", [{"deleted": True}, {"status": "pending_delete"}])
def test_the_url_of_a_location_that_goes_stays(backend: Backend, change: dict[str, Any]) -> None:
    created = image(status=Status.ACTIVE, locations=(Location(url=OLD),))
    backend.database.create_image(created)
    backend.execute(sa.update(image_locations).values(**change))
    (row,) = backend.rows(image_locations)
    assert not backend.database.rewrite_location(created.id, row["id"], OLD, NEW)
    assert backend.rows(image_locations) == [row]
