"""Revision glimpse_007: rows of ``glimpse_leases`` become jobs that recovery takes when they run out."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from glimpse.db import schema
from glimpse.db.extensions import drop_extensions
from glimpse.db.schema_lock import alone
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import image_locations
from glimpse.domain.image import Location
from glimpse.domain.job import JobStatus
from glimpse.domain.status import Status
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, MOMENT, STORED, image

KINDS = ("upload", "image_deletion", "copy_removal")
RAN_OUT, RUNS = 1000.25, 1e11


def migrate(backend: Backend, direction: str, revision: str) -> None:
    """Move the own tables as ``glimpse db sync`` does."""
    with alone(backend.engine) as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
        config.set_main_option("path_separator", "os")
        getattr(command, direction)(config, revision)


@pytest.fixture
def before(bare: Backend) -> Backend:
    schema.sync(bare.engine)
    migrate(bare, "downgrade", "glimpse_006")
    return bare


def lease(backend: Backend, number: int, image_id: str, purpose: str, **fields: Any) -> None:
    row = {
        "id": f"{number:032x}", "image_id": image_id, "purpose": purpose, "owner": "dead:1", "generation": 3,
        "expires_at": RAN_OUT, "store": "fast", "created_at": MOMENT, "project_id": None, "reserved_bytes": None,
    }  # fmt: skip
    types: dict[str, Any] = {"created_at": sa.DateTime()}
    table = sa.table("glimpse_leases", *(sa.column(name, types.get(name)) for name in row))
    backend.execute(sa.insert(table).values(row | fields))


def test_uploads_deletions_and_removals(before: Backend) -> None:
    uploaded = image(status=Status.SAVING)
    deleted = image(status=Status.ACTIVE, locations=(Location(url="file:///a"),))
    reduced = image(
        status=Status.ACTIVE,
        locations=(
            Location(url="file:///b"),
            Location(url="web://c", metadata={"store": "web"}, status="pending_delete"),
        ),
    )
    for one in (uploaded, deleted, reduced):
        before.database.create_image(one)
    before.execute(sa.update(image_locations).where(image_locations.c.value == "web://c").values(deleted=True))
    lease(before, 1, uploaded.id, "upload", project_id="project-a", reserved_bytes=2**40)
    lease(before, 2, deleted.id, "delete", expires_at=RUNS)
    lease(before, 3, reduced.id, "location", store=None)

    schema.sync(before.engine)

    assert not sa.inspect(before.engine).has_table("glimpse_leases")
    made = {row["type"]: row for row in before.rows(jobs)}
    assert set(made) == set(KINDS)
    assert {row["generation"] for row in made.values()} == {3}
    assert {row["claimed_by"] for row in made.values()} == {"dead:1"}
    upload, deletion, removal = (made[kind] for kind in KINDS)
    assert (upload["project_id"], upload["reserved_bytes"], upload["due_at"]) == ("project-a", 2**40, RAN_OUT)
    assert (deletion["unique_key"], deletion["due_at"]) == (f"image_deletion:{deleted.id}", RUNS)
    assert isinstance(upload["created_at"], datetime)
    (row,) = before.rows(image_locations, value="web://c")
    assert json.loads(removal["input"]) == {"url": "web://c", "location_id": row["id"]}

    database = before.database
    due = {job.type: job for job in database.due_jobs(KINDS, stores=("fast", "web"), limit=9)}
    assert set(due) == {"upload", "copy_removal"}
    assert (due["upload"].id, due["upload"].status) == (f"{1:032x}", JobStatus.RUNNING)
    assert {job.type for job in database.due_jobs(KINDS, stores=("web",), limit=9)} == {"copy_removal"}
    claim = database.claim_job(due["upload"], "worker-1", 30.0)
    assert claim is not None
    assert claim.generation == 4
    database.finish_upload(claim, STORED)
    assert database.get_image(uploaded.id, ADMIN).status is Status.ACTIVE
    removed = database.claim_job(due["copy_removal"], "worker-1", 30.0)
    assert removed is not None
    database.finish_location_removal(removed, row["id"])
    assert before.rows(image_locations, value="web://c")[0]["status"] == "deleted"
    drop_extensions(before.engine, force=True)
    assert not [name for name in sa.inspect(before.engine).get_table_names() if name.startswith("glimpse_")]


def test_back_to_leases(before: Backend) -> None:
    uploaded = image(status=Status.SAVING)
    before.database.create_image(uploaded)
    lease(before, 1, uploaded.id, "upload", project_id="project-a", reserved_bytes=7)
    with before.engine.connect() as connection:
        old = connection.exec_driver_sql("SELECT * FROM glimpse_leases").fetchall()
    schema.sync(before.engine)
    migrate(before, "downgrade", "glimpse_006")
    with before.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM glimpse_leases").fetchall() == old
    schema.sync(before.engine)
    assert schema.check(before.engine) is schema.SchemaState.CURRENT
    assert [row["id"] for row in before.rows(jobs)] == [f"{1:032x}"]
