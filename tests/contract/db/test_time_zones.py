"""Times are UTC in the rows, whatever zone a session of the database is in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.tables import images
from glimpse.domain.image import ImageChange
from glimpse.domain.listing import ListQuery
from tests.contract.db.backends import Backend, directly, with_options
from tests.contract.db.examples import OWNER, image

pytestmark = directly()

#: A zone with a change of the clock, and one far off, as each server is told.
ZONES = {
    "postgresql": ("options=-c%20timezone%3DAmerica/St_Johns", "options=-c%20timezone%3DPacific/Kiritimati"),
    "mysql": ("init_command=SET%20time_zone%3D'-03:30'", "init_command=SET%20time_zone%3D'%2B13:00'"),
}
#: In the hour that does not exist in Newfoundland's spring.
MOMENT = datetime(2026, 3, 8, 2, 30, 15, 123456)  # noqa: DTZ001 - naive UTC, as everywhere in the database


@pytest.mark.parametrize("number", [0, 1])
def test_the_zone_of_a_session_shifts_no_time(backend: Backend, number: int) -> None:
    if backend.kind == "sqlite":
        pytest.skip("SQLite has no sessions")
    database = SqlDatabase(with_options(backend, ZONES[backend.kind][number]))
    stored = image(created_at=MOMENT, updated_at=MOMENT)
    database.create_image(stored)
    kept = backend.as_kept(MOMENT)
    assert database.get_image(stored.id, OWNER).created_at == kept
    assert backend.database.get_image(stored.id, OWNER).created_at == kept
    assert backend.rows(images)[0]["created_at"] == kept
    before = backend.as_kept(datetime.now(UTC).replace(tzinfo=None))
    told = database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    assert timedelta() <= told - before < timedelta(minutes=10)
    assert backend.rows(images)[0]["updated_at"] == told
    assert backend.database.get_image(stored.id, OWNER).updated_at == told
    database.close()


def test_fractions_of_seconds_are_answered_as_they_are_kept(backend: Backend) -> None:
    """What MariaDB cuts is cut before, so that an answer and a later one agree."""
    for microsecond in (0, 1, 499_999, 500_000, 999_999):
        moment = MOMENT.replace(microsecond=microsecond)
        stored = image(created_at=moment, updated_at=moment)
        backend.database.create_image(stored)
        found = backend.database.get_image(stored.id, OWNER)
        assert found.created_at == found.updated_at == backend.as_kept(moment)
        told = backend.database.update_image(stored.id, ImageChange(columns={"name": "new"}))
        assert backend.database.get_image(stored.id, OWNER).updated_at == told


def test_images_of_one_second_have_an_order(backend: Backend) -> None:
    """Pages neither lose nor repeat any, though on MariaDB all have the same time."""
    stored = [image(created_at=MOMENT.replace(microsecond=number), updated_at=MOMENT) for number in range(7)]
    for one in stored:
        backend.database.create_image(one)
    seen: list[str] = []
    marker = None
    while page := backend.database.list_images(ListQuery(limit=2, marker=marker), OWNER):
        seen += [one.id for one in page]
        marker = seen[-1]
    assert sorted(seen) == sorted(one.id for one in stored)
