"""Indexes on tables in use: building them blocks nobody, and the rest of an interrupted build is replaced."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db.migrations.online import (
    IndexState,
    create_index_online,
    drop_index_online,
    index_state,
    own_indexes,
    replace_index_online,
)
from glimpse.db.schema_lock import alone
from glimpse.db.sql.tables import images
from glimpse.db.sql.transaction import Transaction
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, image

NAME = "glimpse_test_images_name"
RETRIES = 60.0

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def backend(backend: Backend) -> Iterator[Backend]:
    """Without the index afterwards: databases of servers are shared by tests."""
    yield backend
    with alone(backend.engine) as connection:
        drop_index_online(connection, NAME, "images")


def create(backend: Backend, *columns: str, **options: Any) -> None:
    with alone(backend.engine) as connection:
        create_index_online(connection, NAME, "images", columns or ("name",), **options)


def replace(backend: Backend, *columns: str, **options: Any) -> None:
    with alone(backend.engine) as connection:
        replace_index_online(connection, NAME, "images", columns, **options)


def state(backend: Backend) -> IndexState:
    with backend.engine.connect() as connection:
        return index_state(connection, NAME, "images")


def definition(backend: Backend) -> str:
    statement = {
        "sqlite": f"SELECT sql FROM sqlite_master WHERE name = '{NAME}'",
        "postgresql": f"SELECT indexdef FROM pg_indexes WHERE indexname = '{NAME}'",
        "mysql": "SHOW CREATE TABLE images",
    }[backend.kind]
    with backend.engine.connect() as connection:
        text: str = connection.exec_driver_sql(statement).one()[-1]
    return next((line.strip(" ,") for line in text.splitlines() if NAME in line), text)


def until(happens: Callable[[], object]) -> None:
    deadline = time.monotonic() + RETRIES
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def building(backend: Backend) -> list[int]:
    """The sessions that build or drop an index in this database at the moment."""
    statement = {
        "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND state = 'active'",
        "mysql": "SELECT id FROM information_schema.processlist WHERE db = database()"
        " AND (info LIKE 'CREATE INDEX %' OR info LIKE 'ALTER TABLE images DROP INDEX %')",
    }[backend.kind]
    with backend.engine.connect() as connection:
        return list(connection.scalars(sa.text(statement)))


@contextmanager
def unfinished_write(backend: Backend) -> Iterator[None]:
    """A transaction of somebody who has changed an image and takes long over the rest."""
    stored = image(name="kept by a transaction")
    backend.database.create_image(stored)
    with Transaction(backend.engine) as connection:
        connection.execute(sa.update(images).where(images.c.id == stored.id).values(name="changed"))
        yield


@pytest.fixture
def on_a_server(backend: Backend) -> Backend:
    if backend.kind == "sqlite":
        pytest.skip("SQLite has one writer, and builds within its transaction")
    return backend


@pytest.fixture
def postgresql(backend: Backend) -> Backend:
    if backend.kind != "postgresql":
        pytest.skip("only PostgreSQL leaves something behind")
    return backend


def test_made_and_dropped_any_number_of_times(backend: Backend) -> None:
    assert state(backend) is IndexState.MISSING
    for _ in range(2):
        create(backend)
        assert state(backend) is IndexState.VALID
    with backend.engine.connect() as connection:
        assert (NAME, "images") in own_indexes(connection)
        assert not any(table.startswith("glimpse_") for _, table in own_indexes(connection))
        assert index_state(connection, NAME, "image_tags") is IndexState.MISSING
    for _ in range(2):
        with alone(backend.engine) as connection:
            drop_index_online(connection, NAME, "images")
        assert state(backend) is IndexState.MISSING


def test_columns_orders_lengths_and_conditions(backend: Backend) -> None:
    create(backend, "owner", "created_at DESC", where="deleted = false", mysql_length={"owner": 20})
    assert (
        definition(backend)
        == {
            "sqlite": f"CREATE INDEX {NAME} ON images (owner, created_at DESC) WHERE deleted = false",
            "postgresql": f"CREATE INDEX {NAME} ON public.images USING btree (owner, created_at DESC)"
            " WHERE (deleted = false)",
            "mysql": f"KEY `{NAME}` (`owner`(20),`created_at` DESC)",
        }[backend.kind]
    )


def test_replaced_any_number_of_times(backend: Backend) -> None:
    """The first time it is missing."""
    for column in ("name", "size", "size"):
        replace(backend, column, where="size > 0")
        assert (
            definition(backend)
            == {
                "sqlite": f"CREATE INDEX {NAME} ON images ({column}) WHERE size > 0",
                "postgresql": f"CREATE INDEX {NAME} ON public.images USING btree ({column}) WHERE (size > 0)",
                "mysql": f"KEY `{NAME}` (`{column}`)",
            }[backend.kind]
        )
        with backend.engine.connect() as connection:
            assert [name for name, _ in own_indexes(connection) if name.startswith(NAME)] == [NAME]


def test_expressions(backend: Backend) -> None:
    if backend.kind == "mysql":
        pytest.skip("MariaDB has no indexes on expressions")
    create(backend, "(lower(name))")
    assert "lower(" in definition(backend)


def test_what_was_done_before_in_the_transaction_stays(backend: Backend) -> None:
    stored = image(name="before")
    with alone(backend.engine) as connection:
        create_index_online(connection, NAME, "images", ["name"])
    backend.database.create_image(stored)
    with alone(backend.engine) as connection:
        connection.execute(sa.update(images).where(images.c.id == stored.id).values(name="after"))
        drop_index_online(connection, NAME, "images")
        connection.execute(sa.update(images).where(images.c.id == stored.id).values(min_ram=7))
    found = backend.database.get_image(stored.id, ADMIN)
    assert (found.name, found.min_ram) == ("after", 7)


def test_others_write_while_it_is_built(on_a_server: Backend) -> None:
    with ThreadPoolExecutor(1) as pool:
        with unfinished_write(on_a_server):
            built = pool.submit(create, on_a_server)
            until(lambda: building(on_a_server))
            # on MariaDB behind the builder for as long as that waits at a stretch
            on_a_server.database.create_image(image(name="written meanwhile"))
            assert state(on_a_server) is not IndexState.VALID
        built.result(RETRIES)
    assert state(on_a_server) is IndexState.VALID


def test_the_old_one_serves_until_its_successor_is_there(on_a_server: Backend) -> None:
    create(on_a_server, "name")
    old = definition(on_a_server)
    with ThreadPoolExecutor(1) as pool:
        with unfinished_write(on_a_server):
            replaced = pool.submit(replace, on_a_server, "size")
            until(lambda: building(on_a_server))
            on_a_server.database.create_image(image(name="written meanwhile"))
            assert (state(on_a_server), definition(on_a_server)) == (IndexState.VALID, old)
        replaced.result(RETRIES)
    assert "size" in definition(on_a_server)


@pytest.mark.parametrize("old_is_dropped", [False, True])
def test_an_interrupted_replacement_is_finished_by_another(postgresql: Backend, old_is_dropped: bool) -> None:
    """The successor is built, and the old one is still there, or no more."""
    create(postgresql, "name")
    with alone(postgresql.engine) as connection:
        create_index_online(connection, f"{NAME}_next", "images", ["size"])
        if old_is_dropped:
            drop_index_online(connection, NAME, "images")
    replace(postgresql, "size")
    assert "(size)" in definition(postgresql)
    with postgresql.engine.connect() as connection:
        assert f"{NAME}_next" not in dict(own_indexes(connection))


def test_the_leftover_of_an_interrupted_build_is_replaced(postgresql: Backend) -> None:
    with ThreadPoolExecutor(1) as pool, unfinished_write(postgresql):
        built = pool.submit(create, postgresql)
        until(lambda: building(postgresql) and state(postgresql) is IndexState.INVALID)
        postgresql.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": building(postgresql)[0]})
        with pytest.raises(sa.exc.OperationalError):
            built.result(RETRIES)
    assert state(postgresql) is IndexState.INVALID
    create(postgresql)
    assert state(postgresql) is IndexState.VALID


def test_a_build_that_outlives_its_process_is_waited_for(on_a_server: Backend) -> None:
    program = (
        "import sys\n"
        "from glimpse.db.migrations.online import create_index_online\n"
        "from glimpse.db.schema_lock import alone\n"
        "from glimpse.db.sql.engine import connect\n"
        "from tests.contract.db.backends import settings_for\n"
        "with alone(connect(settings_for(sys.argv[1]))) as connection:\n"
        f"    create_index_online(connection, '{NAME}', 'images', ['name'])\n"
    )
    with ThreadPoolExecutor(1) as pool:
        with unfinished_write(on_a_server):
            process = subprocess.Popen([sys.executable, "-c", program, on_a_server.url])
            until(lambda: building(on_a_server))
            process.kill()
            process.wait(RETRIES)
            again = pool.submit(create, on_a_server)
        again.result(RETRIES)
    assert state(on_a_server) is IndexState.VALID


def test_a_statement_timeout_does_not_end_the_build(postgresql: Backend) -> None:
    with ThreadPoolExecutor(1) as pool, alone(postgresql.engine) as connection:
        connection.execute(sa.text("SET SESSION statement_timeout = '100ms'"))
        with unfinished_write(postgresql):
            built = pool.submit(create_index_online, connection, NAME, "images", ["name"])
            until(lambda: building(postgresql) or built.done())
            time.sleep(0.5)
        built.result(RETRIES)
        assert connection.scalar(sa.text("SHOW statement_timeout")) == "100ms"
    assert state(postgresql) is IndexState.VALID
