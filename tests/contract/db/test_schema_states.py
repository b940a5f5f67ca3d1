"""The states of a database at start (database 5.2), and their handling."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import exc

from glimpse.db import schema
from glimpse.db.schema import SchemaReport, SchemaState
from glimpse.db.sql.engine import connect
from glimpse.db.sql.metadef_tables import glance_metadata
from glimpse.db.sql.own_tables import glimpse_version, jobs, own_metadata
from glimpse.db.sql.tables import alembic_version, image_properties, images
from glimpse.domain.listing import ListQuery
from glimpse.errors import Conflict
from tests.contract.db.backends import Backend, settings_for
from tests.contract.db.examples import OWNER, image

CURRENT = ("2024_1_contract01",)


def stamp(backend: Backend, *revisions: str) -> None:
    backend.execute(sa.delete(alembic_version))
    for revision in revisions:
        backend.execute(sa.insert(alembic_version).values(version_num=revision))


def names(backend: Backend) -> set[str]:
    return set(sa.inspect(backend.engine).get_table_names())


def test_a_database_without_tables(bare: Backend) -> None:
    assert schema.check(bare.engine) is SchemaState.MISSING
    assert schema.check(bare.engine) is not SchemaState.CURRENT
    assert schema.version(bare.engine) == schema.SchemaVersion(None, None)
    assert names(bare) == set()
    assert schema.sync(bare.engine) == SchemaReport(SchemaState.MISSING, changed=True)
    assert schema.check(bare.engine) is SchemaState.CURRENT
    assert schema.check(bare.engine) is SchemaState.CURRENT
    assert schema.sync(bare.engine) == SchemaReport(SchemaState.CURRENT, changed=False)
    bare.database.create_image(image(properties={"a": "1"}))


def test_a_database_that_glance_has_left(bare: Backend) -> None:
    glance_metadata.create_all(bare.engine)
    stamp(bare, *CURRENT)
    bare.database.create_image(image(properties={"a": "1"}))
    rows = (bare.rows(images), bare.rows(image_properties))
    assert schema.check(bare.engine) is SchemaState.OWN_MISSING
    assert schema.sync(bare.engine) == SchemaReport(SchemaState.OWN_MISSING, changed=True)
    assert schema.check(bare.engine) is SchemaState.CURRENT
    assert (bare.rows(images), bare.rows(image_properties)) == rows
    assert schema.version(bare.engine).glance == CURRENT


def test_without_our_tables_it_is_glances_again(backend: Backend) -> None:
    own_tables = names(backend) - set(glance_metadata.tables)
    assert own_tables == set(own_metadata.tables)
    assert all(name.startswith("glimpse_") for name in own_tables)


@pytest.mark.parametrize(
    ("revisions", "state"),
    [
        (("2023_1_contract01",), SchemaState.GLANCE_OUTDATED),
        (("mitaka02",), SchemaState.GLANCE_OUTDATED),
        (("liberty",), SchemaState.GLANCE_OUTDATED),
        (("rocky_contract02",), SchemaState.GLANCE_OUTDATED),
        (("2024_1_expand01",), SchemaState.GLANCE_MID_UPGRADE),
        (("2023_1_contract01", "2024_1_expand01"), SchemaState.GLANCE_MID_UPGRADE),
        (("2027_1_contract01",), SchemaState.GLANCE_UNKNOWN),
        (("c0ffee",), SchemaState.GLANCE_UNKNOWN),
        (("2023_1_contract01", "2027_1_expand01"), SchemaState.GLANCE_UNKNOWN),
    ],
)
def test_databases_that_are_refused(bare: Backend, revisions: tuple[str, ...], state: SchemaState) -> None:
    glance_metadata.create_all(bare.engine)
    stamp(bare, *revisions)
    before = names(bare)
    assert schema.check(bare.engine) is state
    assert schema.check(bare.engine) is not SchemaState.CURRENT
    with pytest.raises(Conflict) as refused:
        schema.sync(bare.engine)
    assert str(refused.value) == state.value
    assert names(bare) == before
    assert schema.version(bare.engine).glance == tuple(sorted(revisions))


@pytest.mark.parametrize("state", [SchemaState.GLANCE_OUTDATED, SchemaState.GLANCE_MID_UPGRADE])
def test_the_operator_is_told_the_revision_to_upgrade_to(state: SchemaState) -> None:
    assert f"glance-manage to {CURRENT[0]} first" in state.value


def test_other_rows_next_to_the_last_revision_do_not_matter(bare: Backend) -> None:
    schema.sync(bare.engine)
    stamp(bare, *CURRENT, "2024_1_expand01")
    assert schema.check(bare.engine) is SchemaState.CURRENT


def test_an_interrupted_creation_is_finished(bare: Backend) -> None:
    images.create(bare.engine)
    alembic_version.create(bare.engine)
    assert schema.check(bare.engine) is SchemaState.EMPTY
    assert schema.sync(bare.engine) == SchemaReport(SchemaState.EMPTY, changed=True)
    assert schema.check(bare.engine) is SchemaState.CURRENT
    assert names(bare) == set(glance_metadata.tables) | set(own_metadata.tables)


def test_tables_with_rows_and_no_version_are_left_alone(bare: Backend) -> None:
    glance_metadata.create_all(bare.engine)
    bare.database.create_image(image())
    assert schema.check(bare.engine) is SchemaState.EMPTY
    with pytest.raises(Conflict):
        schema.sync(bare.engine)
    assert "glimpse_jobs" not in names(bare)


def test_tables_of_another_shape_are_left_alone(bare: Backend) -> None:
    with bare.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE images (id VARCHAR(36), is_public BOOLEAN)")
    with pytest.raises(Conflict):
        schema.sync(bare.engine)
    assert names(bare) == {"images"}


def test_a_database_from_before_alembic_is_left_alone(bare: Backend) -> None:
    with bare.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE migrate_version (version INTEGER)")
    with pytest.raises(Conflict):
        schema.sync(bare.engine)
    assert names(bare) == {"migrate_version"}


def test_other_tables_do_not_matter(bare: Backend) -> None:
    with bare.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE somebody_elses (id INTEGER)")
    schema.sync(bare.engine)
    assert schema.check(bare.engine) is SchemaState.CURRENT


def test_a_newer_glimpse_was_here(bare: Backend) -> None:
    schema.sync(bare.engine)
    bare.execute(sa.update(glimpse_version).values(version_num="glimpse_999"))
    assert schema.check(bare.engine) is SchemaState.OWN_UNKNOWN
    with pytest.raises(Conflict, match="newer version of Glimpse"):
        schema.sync(bare.engine)


@pytest.mark.timeout(180)
def test_several_processes_create_it_at_once(bare: Backend) -> None:
    program = (
        "import sys\n"
        "from glimpse.db import schema\n"
        "from glimpse.db.sql.engine import connect\n"
        "from tests.contract.db.backends import settings_for\n"
        "engine = connect(settings_for(sys.argv[1]))\n"
        "input()\n"
        "print(schema.sync(engine).changed)\n"
        "engine.dispose()\n"
    )
    command = [sys.executable, "-W", "error", "-c", program, bare.url]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=150) for process in processes]
    assert [errors for _, errors in answers] == [""] * 5
    assert sorted(answer for answer, _ in answers) == ["False\n"] * 4 + ["True\n"]
    assert schema.check(bare.engine) is SchemaState.CURRENT
    assert bare.rows(jobs) == []


def test_a_creation_that_fails_leaves_nothing(bare: Backend) -> None:
    """Where the database has transactions for tables."""
    if bare.kind == "mysql":
        pytest.skip("MySQL commits each table; an interrupted creation is finished by the next")
    with bare.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE glimpse_jobs (id INTEGER)")
    engine = connect(settings_for(bare.url))
    with pytest.raises(exc.DBAPIError):
        schema.sync(engine)
    engine.dispose()
    assert names(bare) == {"glimpse_jobs"}


_KEYS_OF_004 = ("created_at", "updated_at", "name", "size", "status", "disk_format", "container_format")
#: What a database of an older version of Glimpse has on ``images``, by revision.
_OLD_INDEXES = {
    "glimpse_007": {f"owner_{key}" for key in (*_KEYS_OF_004, "id")} | {*_KEYS_OF_004, "visibility"},
    "glimpse_004": {f"owner_{key}" for key in _KEYS_OF_004} | {"name", "updated_at", "visibility"},
    "glimpse_003": set[str](),
}


def test_the_revisions_of_list_indexes_go_down_and_up_again(bare: Backend) -> None:
    """A database of an older version of Glimpse is brought up to date, with the same indexes as a new one."""
    schema.sync(bare.engine)
    bare.database.create_image(image(properties={"a": "1"}))

    def indexes() -> dict[str, list[str | None]]:
        inspector = sa.inspect(bare.engine)
        tables = ("images", "image_members", "image_tags", "image_properties")
        return {str(index["name"]): index["column_names"] for table in tables for index in inspector.get_indexes(table)}

    new = indexes()
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    for revision, names in _OLD_INDEXES.items():
        with bare.engine.connect() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, revision)
        assert schema.check(bare.engine) is SchemaState.OWN_MISSING
        old = {name.removeprefix("glimpse_images_"): columns for name, columns in indexes().items()}
        assert {name for name in old if f"glimpse_images_{name}" in indexes()} == names
        assert all("status" in old[name] for name in names)
        assert [one.properties for one in bare.database.list_images(ListQuery(limit=2), OWNER)] == [{"a": "1"}]
    schema.sync(bare.engine)
    assert indexes() == new
    with bare.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "glimpse_007")
    schema.sync(bare.engine)
    assert indexes() == new
