"""Permanent removal of rows that were marked as deleted (database 11)."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from glimpse.cli.main import main
from glimpse.db.records import IMAGES, LARGEST_BATCH, PURGEABLE
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import (
    image_locations,
    image_members,
    image_properties,
    image_tags,
    images,
    task_info,
    tasks,
)
from glimpse.domain.clock import now
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.status import Status
from glimpse.errors import Duplicate, Invalid
from tests.contract.db.backends import Backend, settings_for
from tests.contract.db.examples import LIFETIME, MOMENT, image, upload_job

TABLES = {table.name: table for table in (image_properties, image_tags, image_locations, image_members, tasks, images)}
CHILDREN = [name for name in PURGEABLE if name not in {"tasks", IMAGES}]

#: Rows are marked as deleted at ``OLD``, and what was deleted before ``BEFORE`` is to go.
OLD = MOMENT - timedelta(days=40)
BEFORE = MOMENT - timedelta(days=30)
RECENT = MOMENT - timedelta(days=20)


def full_image(backend: Backend) -> str:
    """An image with a row in each table of children."""
    made = image(
        status=Status.ACTIVE, properties={"a": "1"}, tags=("t",), locations=(Location(url="file:///images/1"),)
    )
    backend.database.create_image(made)
    backend.share(made.id, "project-b")
    return made.id


def mark(backend: Backend, table: str, deleted_at: datetime | None = OLD, **values: Any) -> None:
    """Set the columns of soft deletion, and others, of all rows of a table."""
    backend.execute(sa.update(TABLES[table]).values({"deleted": True, "deleted_at": deleted_at, **values}))


def deleted_image(backend: Backend, **values: Any) -> str:
    """An image deleted at ``OLD``, as deletions leave its rows."""
    image_id = full_image(backend)
    for table in CHILDREN:
        mark(backend, table, **({"status": "deleted"} if table == "image_locations" else {}))
    mark(backend, IMAGES, **{"status": "deleted", **values})
    return image_id


def deleted_task(backend: Backend, deleted_at: datetime = OLD, *, deleted: bool = True) -> str:
    task_id = str(uuid.uuid4())
    backend.execute(
        sa.insert(tasks).values(
            id=task_id, type="api_image_import", status="success", owner="project-a", created_at=OLD,
            updated_at=OLD, deleted_at=deleted_at, deleted=deleted,
        )
    )  # fmt: skip
    backend.execute(sa.insert(task_info).values(task_id=task_id, input="{}"))
    return task_id


def purge(backend: Backend, *tables: str, limit: int = 100) -> int:
    """Purge tables with as many batches as it takes; returns the number of rows."""
    removed = 0
    for table in tables:
        after = None
        while True:
            batch = backend.database.purge_batch(table, BEFORE, limit, after=after)
            removed += batch.removed
            after = batch.last
            if after is None:
                break
    return removed


def sizes(backend: Backend) -> dict[str, int]:
    return {name: len(backend.rows(table)) for name, table in TABLES.items()}


ONE_OF_EACH = dict.fromkeys(CHILDREN, 1) | {"tasks": 0, IMAGES: 1}


def test_a_deleted_image_goes_with_all_its_rows(backend: Backend) -> None:
    deleted_image(backend)
    deleted_task(backend)
    expected = ONE_OF_EACH | {"tasks": 1}
    assert backend.database.count_purgeable(PURGEABLE, BEFORE) == expected
    assert sizes(backend) == expected
    for table in PURGEABLE:
        assert purge(backend, table) == 1
    assert sizes(backend) == dict.fromkeys(TABLES, 0)
    assert backend.rows(task_info) == []
    assert purge(backend, *PURGEABLE) == 0


@pytest.mark.parametrize("table", [name for name in PURGEABLE if name != IMAGES])
def test_live_rows_stay_whatever_their_deleted_at(backend: Backend, table: str) -> None:
    """Glance leaves the old ``deleted_at`` where it revives a row, and its own purge destroys such rows."""
    full_image(backend)
    deleted_task(backend)
    mark(backend, table, deleted=False)
    before = backend.rows(TABLES[table])
    assert backend.database.count_purgeable([table], BEFORE) == {table: 0}
    assert purge(backend, table) == 0
    assert backend.rows(TABLES[table]) == before


def test_a_live_image_with_an_old_deleted_at_stays(backend: Backend) -> None:
    image_id = deleted_image(backend)
    backend.execute(sa.update(images).values(deleted=False, status="active"))
    assert purge(backend, *PURGEABLE) == len(CHILDREN)
    assert backend.rows(images)[0]["id"] == image_id
    assert backend.database.count_purgeable([IMAGES], BEFORE) == {IMAGES: 0}


@pytest.mark.parametrize("deleted_at", [RECENT, BEFORE, None], ids=["younger", "exactly as old", "without a time"])
def test_rows_that_are_not_old_enough_stay(backend: Backend, deleted_at: datetime | None) -> None:
    deleted_image(backend)
    deleted_task(backend)
    for table in PURGEABLE:
        mark(backend, table, deleted_at)
    assert backend.database.count_purgeable(PURGEABLE, BEFORE) == dict.fromkeys(PURGEABLE, 0)
    assert purge(backend, *PURGEABLE) == 0
    assert len(backend.rows(task_info)) == 1


def test_an_image_whose_data_still_have_to_be_removed_stays_as_it_is(backend: Backend) -> None:
    """It may be restored, so its properties, tags and members stay as well."""
    deleted_image(backend, status="pending_delete")
    backend.execute(sa.update(image_locations).values(status="pending_delete"))
    assert backend.database.count_purgeable(PURGEABLE, BEFORE) == dict.fromkeys(PURGEABLE, 0)
    assert purge(backend, *PURGEABLE) == 0
    assert sizes(backend) == ONE_OF_EACH
    # the scrubber took the data of its location, and did not come to the row of the image
    backend.execute(sa.update(image_locations).values(status="deleted"))
    assert purge(backend, *PURGEABLE) == 0


def test_a_location_whose_data_still_have_to_be_removed_stays_and_keeps_its_image(backend: Backend) -> None:
    deleted_image(backend)
    backend.execute(sa.update(image_locations).values(status="pending_delete"))
    assert backend.database.count_purgeable(PURGEABLE, BEFORE)["image_locations"] == 0
    assert purge(backend, *PURGEABLE) == len(CHILDREN) - 1
    assert sizes(backend) == dict.fromkeys(TABLES, 0) | {"image_locations": 1, IMAGES: 1}


def test_rows_of_a_live_image_go_one_by_one(backend: Backend) -> None:
    image_id = full_image(backend)
    backend.database.update_image(
        image_id, ImageChange(set_properties={"b": "2"}, drop_properties=("a",), tags=("u", "v"))
    )
    for table in ("image_properties", "image_tags"):
        backend.execute(sa.update(TABLES[table]).where(TABLES[table].c.deleted == sa.true()).values(deleted_at=OLD))
    assert purge(backend, *PURGEABLE) == 2
    assert [row["name"] for row in backend.rows(image_properties)] == ["b"]
    assert [row["value"] for row in backend.rows(image_tags)] == ["u", "v"]
    assert len(backend.rows(image_members)) == len(backend.rows(image_locations)) == 1


@pytest.mark.parametrize("child", CHILDREN)
@pytest.mark.parametrize(
    "kept", [{"deleted": False}, {"deleted_at": RECENT}, {"deleted_at": None}], ids=["live", "young", "without a time"]
)
def test_an_image_stays_while_it_has_another_row(backend: Backend, child: str, kept: Mapping[str, Any]) -> None:
    deleted_image(backend)
    backend.execute(sa.update(TABLES[child]).values(dict(kept)))
    assert backend.database.count_purgeable(PURGEABLE, BEFORE) == ONE_OF_EACH | {child: 0, IMAGES: 0}
    assert purge(backend, *PURGEABLE) == len(CHILDREN) - 1
    assert sizes(backend) == dict.fromkeys(TABLES, 0) | {child: 1, IMAGES: 1}


def test_the_count_of_images_says_what_a_purge_of_these_tables_does(backend: Backend) -> None:
    deleted_image(backend)
    assert backend.database.count_purgeable([IMAGES], BEFORE) == {IMAGES: 0}
    assert purge(backend, IMAGES) == 0
    without_tags = [name for name in PURGEABLE if name != "image_tags"]
    assert backend.database.count_purgeable(without_tags, BEFORE)[IMAGES] == 0
    assert backend.database.count_purgeable(set(PURGEABLE), BEFORE)[IMAGES] == 1


def test_an_image_with_a_lease_stays(backend: Backend) -> None:
    """Somebody still works on what it was."""
    made = image()
    backend.database.create_image(made)
    backend.database.begin_upload(upload_job(made.id), LIFETIME)
    mark(backend, IMAGES, status="deleted")
    assert backend.database.count_purgeable([IMAGES], BEFORE) == {IMAGES: 0}
    assert purge(backend, IMAGES) == 0
    backend.execute(sa.delete(jobs))
    assert purge(backend, IMAGES) == 1


def test_tasks_go_with_their_information_and_others_keep_theirs(backend: Backend) -> None:
    deleted_task(backend)
    kept = {deleted_task(backend, RECENT), deleted_task(backend, deleted=False)}
    assert purge(backend, "tasks") == 1
    assert {row["id"] for row in backend.rows(tasks)} == kept
    assert {row["task_id"] for row in backend.rows(task_info)} == kept


def test_a_task_without_information(backend: Backend) -> None:
    deleted_task(backend)
    backend.execute(sa.delete(task_info))
    assert purge(backend, "tasks") == 1


def test_the_id_of_an_image_is_free_once_its_row_is_gone(backend: Backend) -> None:
    """Which is why images are purged only when that is asked for (OSSN-0075)."""
    image_id = deleted_image(backend)
    purge(backend, *CHILDREN)
    with pytest.raises(Duplicate):
        backend.database.create_image(image(id=image_id))
    purge(backend, IMAGES)
    backend.database.create_image(image(id=image_id))


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
def test_batches_together_look_at_every_row_once(backend: Backend, limit: int) -> None:
    made = image(tags=tuple(f"t{number}" for number in range(11)))
    backend.database.create_image(made)
    every_other = [f"t{number}" for number in range(0, 11, 2)]
    backend.execute(
        sa.update(image_tags).where(image_tags.c.value.in_(every_other)).values(deleted=True, deleted_at=OLD)
    )
    after, batches = None, []
    while not batches or after is not None:
        batch = backend.database.purge_batch("image_tags", BEFORE, limit, after=after)
        batches.append(batch.removed)
        after = batch.last
    assert sum(batches) == 6
    assert max(batches) <= limit
    assert [row["value"] for row in backend.rows(image_tags)] == [f"t{number}" for number in range(1, 11, 2)]


def test_batches_of_rows_whose_key_is_text(backend: Backend) -> None:
    for _ in range(7):
        backend.database.create_image(image())
        deleted_task(backend)
    mark(backend, IMAGES, status="deleted")
    assert purge(backend, IMAGES, limit=3) == 7
    assert purge(backend, "tasks", limit=3) == 7


def test_a_batch_costs_two_or_three_statements(backend: Backend) -> None:
    deleted_image(backend)
    deleted_task(backend)
    for table in PURGEABLE:
        with backend.counting() as statements:
            purge(backend, table)
        assert len(statements) == (3 if table in {"tasks", "image_locations"} else 2)
    with backend.counting() as statements:
        backend.database.count_purgeable(PURGEABLE, BEFORE)
    assert len(statements) == len(PURGEABLE)


@pytest.mark.parametrize("table", ["metadef_tags", "task_info", "glimpse_jobs", "images; DROP TABLE tasks", ""])
def test_other_tables_are_not_purged(backend: Backend, table: str) -> None:
    with pytest.raises(Invalid):
        backend.database.purge_batch(table, BEFORE, 10)
    with pytest.raises(Invalid):
        backend.database.count_purgeable([table], BEFORE)


@pytest.mark.parametrize("limit", [0, -1, LARGEST_BATCH + 1])
def test_the_size_of_a_batch_has_limits(backend: Backend, limit: int) -> None:
    with pytest.raises(Invalid):
        backend.database.purge_batch("tasks", BEFORE, limit)


def test_the_largest_batch(backend: Backend) -> None:
    made = image()
    backend.database.create_image(made)
    row = {
        "image_id": made.id, "value": "t", "created_at": OLD, "updated_at": OLD, "deleted_at": OLD, "deleted": True,
    }  # fmt: skip
    with backend.engine.begin() as connection:
        connection.execute(sa.insert(image_tags), [row] * (LARGEST_BATCH + 1))
    batch = backend.database.purge_batch("image_tags", BEFORE, LARGEST_BATCH)
    assert batch.removed == LARGEST_BATCH
    assert backend.database.purge_batch("image_tags", BEFORE, LARGEST_BATCH, after=batch.last).removed == 1


def test_rows_that_are_revived_meanwhile_are_there_afterwards(backend: Backend) -> None:
    """A property and a member are removed and added again while purges run; after each round both are there."""
    made = image(properties={"a": "0"})
    backend.database.create_image(made)
    backend.database.add_member(made.id, "project-b", maximum=-1)
    # everything that is marked goes at once
    far = now() + timedelta(days=1)
    stop = threading.Event()

    def purge_on() -> None:
        while not stop.is_set():
            for table in ("image_properties", "image_members"):
                backend.database.purge_batch(table, far, 10)

    purging = threading.Thread(target=purge_on)
    purging.start()
    try:
        for round_ in range(20):
            backend.database.update_image(made.id, ImageChange(drop_properties=("a",)))
            backend.database.remove_member(made.id, "project-b")
            backend.database.update_image(made.id, ImageChange(set_properties={"a": str(round_)}))
            backend.database.add_member(made.id, "project-b", maximum=-1)
            live = {row["value"] for row in backend.rows(image_properties, deleted=False)}
            assert live == {str(round_)}
            assert [row["member"] for row in backend.rows(image_members, deleted=False)] == ["project-b"]
    finally:
        stop.set()
        purging.join()


def test_a_member_is_revived_while_its_row_is_purged(backend: Backend) -> None:
    """Between the statement that finds the removed row and the one that revives it, the row goes."""
    if backend.kind == "sqlite":
        pytest.skip("SQLite lets nobody else write in between")
    made = image()
    backend.database.create_image(made)
    backend.database.add_member(made.id, "project-b", maximum=-1)
    backend.database.remove_member(made.id, "project-b")
    other = connect(settings_for(backend.url))
    purged: list[int] = []

    def purge_it(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE image_members"):
            batch = SqlDatabase(other).purge_batch("image_members", now() + timedelta(days=1), 10)
            purged.append(batch.removed)

    sa.event.listen(backend.engine, "before_cursor_execute", purge_it)
    try:
        member = backend.database.add_member(made.id, "project-b", maximum=-1)
    finally:
        sa.event.remove(backend.engine, "before_cursor_execute", purge_it)
        other.dispose()
    assert purged == [1]
    [row] = backend.rows(image_members)
    assert (row["member"], row["deleted"], row["created_at"]) == ("project-b", False, member.created_at)


def test_a_purge_meets_another_one(backend: Backend) -> None:
    """Both come to their end, and each row counts once."""
    made = image(tags=tuple(f"t{number}" for number in range(60)))
    backend.database.create_image(made)
    mark(backend, "image_tags")
    removed: list[int] = []
    purging = [threading.Thread(target=lambda: removed.append(purge(backend, "image_tags", limit=7))) for _ in range(3)]
    for one in purging:
        one.start()
    for one in purging:
        one.join()
    assert sum(removed) == 60
    assert len(removed) == 3


def test_the_command(backend: Backend, tmp_path: Path) -> None:
    deleted_image(backend)
    deleted_task(backend)
    backend.database.create_image(image(tags=("kept",)))
    file = tmp_path / "glance-api.conf"
    file.write_text(f"[database]\nconnection = {backend.url}\n")

    def run(*arguments: str) -> dict[str, int]:
        """The table of rows that the command prints."""
        command = ["db", "purge", "--config-file", str(file), "--pause", "0", *arguments]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        lines = [line.split() for line in result.stdout.splitlines()]
        return {name: int(count) for name, count in lines[1:]}

    expected = dict.fromkeys(CHILDREN, 1) | {"tasks": 1, "total": 5}
    assert run("--dry-run", "--age-in-days", "0") == expected
    assert len(backend.rows(image_tags)) == 2
    assert run("--age-in-days", "0", "--batch-size", "1") == expected
    assert [row["value"] for row in backend.rows(image_tags)] == ["kept"]
    assert len(backend.rows(images)) == 2
    assert run("--images") == dict.fromkeys(PURGEABLE, 0) | {IMAGES: 1, "total": 1}
    assert len(backend.rows(images)) == 1
