"""Which indexes of Glimpse on ``images`` a write changes, and that lists name only indexes that are there.

What they cost and gain is in docs/adr/0010.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from glimpse.db.migrations.online import own_indexes
from glimpse.db.records import Viewer
from glimpse.db.sql.index_hints import PRIMARY
from glimpse.db.sql.visibility import ListScope
from glimpse.domain.image import ImageChange
from glimpse.domain.status import Status, Visibility
from tests.contract.db.backends import Backend, only_on
from tests.contract.db.examples import image

_BY_CHANGE = {"owner_updated_at", "updated_at", "visibility"}

#: Operation → the indexes that it changes, without ``glimpse_images_``; the one by visibility only for public and
#: community images.
CHANGED: dict[str, tuple[Callable[[Backend, str], object], set[str]]] = {
    "status": (
        lambda backend, one: backend.database.update_image(one, ImageChange(columns={"status": Status.DEACTIVATED})),
        {*_BY_CHANGE, "owner_created_at", "created_at"},
    ),
    "name": (
        lambda backend, one: backend.database.update_image(one, ImageChange(columns={"name": "renamed"})),
        {*_BY_CHANGE, "owner_name", "name"},
    ),
    "property": (
        lambda backend, one: backend.database.update_image(one, ImageChange(set_properties={"p": "w"})),
        _BY_CHANGE,
    ),
}


def changed_indexes(backend: Backend, statement: str) -> set[str]:
    """The indexes of Glimpse that SQLite's program for a statement writes to."""
    with backend.engine.connect() as connection:
        pages = {
            int(page): str(name).removeprefix("glimpse_images_")
            for name, page in connection.exec_driver_sql(
                "SELECT name, rootpage FROM sqlite_master WHERE type = 'index' AND name LIKE 'glimpse%'"
            )
        }
        program = connection.exec_driver_sql(f"EXPLAIN {statement}", ("x",) * statement.count("?")).fetchall()
    opened = {step[2]: pages.get(step[3]) for step in program if step[1] == "OpenWrite"}
    return {name for step in program if step[1] == "IdxInsert" if (name := opened.get(step[2]))}


@only_on("sqlite")
@pytest.mark.parametrize("operation", CHANGED)
def test_a_change_writes_only_to_the_indexes_with_its_columns(backend: Backend, operation: str) -> None:
    change, expected = CHANGED[operation]
    stored = image(properties={"p": "v"})
    backend.database.create_image(stored)
    with backend.counting() as statements:
        change(backend, stored.id)
    [update] = [statement for statement in statements if statement.startswith("UPDATE images ")]
    assert changed_indexes(backend, update) == expected


def test_lists_name_only_indexes_that_are_there(backend: Backend) -> None:
    with backend.engine.connect() as connection:
        there = {name for name, table in own_indexes(connection) if table == "images"}
    named: set[str] = set()
    for visibility, is_admin in itertools.product([None, "all", *Visibility], [False, True]):
        scope = ListScope.of(Viewer("project-a", is_admin=is_admin), visibility, "accepted")
        for lane in (*scope.lanes(), scope.lane_of_owner()):
            named.update(lane.indexes.values())
    assert named == there | {PRIMARY}
