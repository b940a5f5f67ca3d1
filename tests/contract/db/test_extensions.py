"""Dropping Glimpse's extensions leaves Glance's tables, and loses no unfinished work without ``--force``."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa

from glimpse.db import schema
from glimpse.db.extensions import drop_extensions, extensions
from glimpse.db.migrations.online import create_index_online
from glimpse.db.schema import SchemaState
from glimpse.db.schema_lock import alone
from glimpse.db.sql.metadef_tables import glance_metadata
from glimpse.db.sql.own_tables import glimpse_version, jobs
from glimpse.db.sql.tables import alembic_version
from glimpse.domain.job import Job, JobChange, JobStatus
from glimpse.errors import Conflict
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, LIFETIME, MOMENT, image, upload_job
from tests.support.schema_facts import differences, schema_facts, without_extensions


@pytest.fixture
def plain(bare: Backend) -> Backend:
    """Glance's tables, as its last migration leaves them."""
    glance_metadata.create_all(bare.engine)
    bare.execute(sa.insert(alembic_version).values(version_num=schema.GLANCE_REVISION))
    return bare


def add_job(backend: Backend) -> Job:
    job = Job(
        id=str(uuid.uuid4()), type="location_check", input={"image_id": "1"}, created_at=MOMENT, updated_at=MOMENT
    )
    backend.database.add_job(job)
    return job


def end(backend: Backend, job: Job) -> None:
    claim = backend.database.claim_job(backend.database.get_job(job.id), "worker-1", 1000.25)
    assert claim is not None
    backend.database.save_job(claim, JobChange(status=JobStatus.SUCCEEDED))


def test_what_stays_is_what_was_there_before(plain: Backend) -> None:
    before = schema_facts(plain.engine)
    assert not extensions(plain.engine)
    for _ in range(2):
        schema.sync(plain.engine)
        stored = image(properties={"a": "1"}, tags=("t",))
        plain.database.create_image(stored)
        extended = schema_facts(plain.engine)
        assert extended.keys() > before.keys()
        assert differences(before, without_extensions(extended)) == []

        dropped = drop_extensions(plain.engine)
        assert set(dropped.tables) >= {"glimpse_jobs", "glimpse_projects", "glimpse_version"}
        assert dropped.indexes
        assert differences(before, schema_facts(plain.engine)) == []
        assert schema.check(plain.engine) is SchemaState.OWN_MISSING
        assert not extensions(plain.engine)
        assert not drop_extensions(plain.engine)
        assert plain.database.get_image(stored.id, ADMIN).properties == {"a": "1"}


def test_nothing_is_dropped_while_something_is_unfinished(plain: Backend) -> None:
    schema.sync(plain.engine)
    stored = image()
    plain.database.create_image(stored)
    upload = upload_job(stored.id)
    plain.database.begin_upload(upload, LIFETIME)
    waiting, ended = add_job(plain), add_job(plain)
    end(plain, ended)
    before = schema_facts(plain.engine)

    found = extensions(plain.engine)
    assert found.unfinished == (
        f"1 job of the kind location_check not ended: {waiting.id}.",
        f"1 job of the kind upload not ended: {upload.id}.",
    )
    assert found.records == ("1 record of jobs that have ended.",)
    with pytest.raises(Conflict, match=waiting.id):
        drop_extensions(plain.engine)
    assert schema_facts(plain.engine) == before

    end(plain, waiting)
    with pytest.raises(Conflict, match=upload.id):
        drop_extensions(plain.engine)
    plain.execute(sa.delete(jobs))
    assert extensions(plain.engine).unfinished == ()
    drop_extensions(plain.engine)


def test_unfinished_work_is_lost_by_force(plain: Backend) -> None:
    before = schema_facts(plain.engine)
    schema.sync(plain.engine)
    for _ in range(7):
        add_job(plain)
    (sentence,) = extensions(plain.engine).unfinished
    assert sentence.startswith("7 jobs of the kind location_check not ended: ")
    assert sentence.endswith(", ….")
    assert drop_extensions(plain.engine, force=True).unfinished
    assert differences(before, schema_facts(plain.engine)) == []


def test_what_a_newer_version_made_is_dropped_by_force_only(plain: Backend) -> None:
    before = schema_facts(plain.engine)
    schema.sync(plain.engine)
    plain.execute(sa.update(glimpse_version).values(version_num="glimpse_999"))
    with pytest.raises(Conflict, match="newer version of Glimpse"):
        drop_extensions(plain.engine)
    drop_extensions(plain.engine, force=True)
    assert differences(before, schema_facts(plain.engine)) == []


def test_an_interrupted_drop_is_finished_by_another(plain: Backend) -> None:
    before = schema_facts(plain.engine)
    with alone(plain.engine) as connection:
        create_index_online(connection, "glimpse_images_name", "images", ["name"])
        connection.exec_driver_sql("CREATE TABLE glimpse_something (id INTEGER PRIMARY KEY)")
    dropped = drop_extensions(plain.engine)
    assert dropped.tables == ("glimpse_something",)
    assert dropped.indexes == (("glimpse_images_name", "images"),)
    assert differences(before, schema_facts(plain.engine)) == []


def test_the_comparison_sees_small_things(plain: Backend) -> None:
    before = schema_facts(plain.engine)
    changes = {
        "mysql": [
            "ALTER TABLE images ALTER visibility SET DEFAULT 'private'",
            "ALTER TABLE images MODIFY name varchar(255) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin",
            "ALTER TABLE image_tags DROP INDEX ix_image_tags_image_id_tag_value",
            "ALTER TABLE task_info ROW_FORMAT = COMPACT",
        ],
        "postgresql": [
            "ALTER TABLE images ALTER visibility SET DEFAULT 'private'",
            "ALTER TYPE image_visibility ADD VALUE 'secret'",
            "ALTER TABLE images ALTER name TYPE varchar(255) COLLATE \"C\"",
            "DROP INDEX ix_image_tags_image_id_tag_value",
            "ALTER TABLE image_tags ALTER CONSTRAINT image_tags_image_id_fkey DEFERRABLE",
        ],
        "sqlite": [
            "ALTER TABLE images ADD COLUMN is_public BOOLEAN",
            "DROP INDEX ix_image_tags_image_id_tag_value",
            "CREATE INDEX ix_tasks_again ON tasks (owner DESC)",
        ],
    }  # fmt: skip
    for change in changes[plain.kind]:
        plain.execute(sa.text(change))
        after = schema_facts(plain.engine)
        assert differences(before, after), change
        before = after
