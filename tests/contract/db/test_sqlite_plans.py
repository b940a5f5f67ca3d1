"""The watch over SQLite's plans (``conftest.py``) notices what it is there for.

The plans themselves are checked with every test of this directory, statement by statement.
"""

from __future__ import annotations

from typing import Any

import pytest

from glimpse.db.sql import transaction
from tests.contract.db.backends import Backend, only_on
from tests.contract.db.examples import OWNER, image
from tests.support.sqlite_plans import Plans

BAD = {
    "SELECT id FROM image_properties WHERE image_id = ? AND deleted = 0": "ix_image_properties_deleted",
    "SELECT id FROM images WHERE owner = ? AND os_hidden = 0": "os_hidden_image_idx",
    "SELECT value FROM image_locations WHERE status = ?": "all of image_locations",
    "SELECT name FROM images WHERE deleted = 0 AND min_ram > ? ORDER BY created_at": "images",
    "UPDATE image_members SET status = 'x' WHERE can_share = ?": "all of image_members",
}


@pytest.mark.parametrize("statement", BAD)
def test_a_bad_plan_is_noticed(plans: Plans, statement: str) -> None:
    found = list(plans.violations(statement, ("x",)))
    assert found
    assert BAD[statement] in found[0]


@only_on("sqlite")
def test_the_watch_sees_what_the_database_sends_and_not_what_a_test_looks_up(backend: Backend, plans: Plans) -> None:
    statement = "SELECT 3 FROM images WHERE min_disk = 7"

    def look_up(connection: Any) -> None:
        connection.exec_driver_sql(statement).fetchall()

    with plans.watched(backend.engine) as violations:
        transaction.read(backend.engine, look_up)
    assert violations == []
    ours: dict[str, Any] = {"__name__": "glimpse.db.sql.example"}
    exec(f"def look_up(connection): connection.exec_driver_sql({statement!r}).fetchall()", ours)
    with plans.watched(backend.engine) as violations:
        transaction.read(backend.engine, ours["look_up"])
    assert [violation.partition("\n")[0] for violation in violations] == [
        f"statistics: {name}: all of images is read" for name in ("never", "nearly empty", "bounded")
    ]


@only_on("sqlite")
def test_a_show_and_a_list_read_the_parts_of_images_by_their_images(backend: Backend, plans: Plans) -> None:
    backend.database.create_image(image(id="one", properties={"p": "v"}, tags=("t",)))
    with backend.counting() as statements:
        backend.database.get_image("one", OWNER)
    [show] = statements
    assert "INDEXED BY ix_image_properties_image_id" in show
    assert list(plans.violations(show, tuple("x" * show.count("?")))) == []
