"""Connections: uncommitted changes are rolled back, lost connections are reopened."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db.sql.engine import connect
from glimpse.db.sql.tables import images
from glimpse.db.sql.transaction import Transaction, read, write
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Claim
from glimpse.errors import Invalid
from tests.contract.db.backends import Backend, settings_for
from tests.contract.db.examples import ADMIN, OWNER, image


def rename(connection: sa.Connection, name: str) -> None:
    connection.execute(sa.update(images).values(name=name))


def names(backend: Backend) -> list[str]:
    return [row["name"] for row in backend.rows(images)]


def in_transaction(backend: Backend, connection: sa.Connection) -> bool:
    driver: Any = connection.connection.dbapi_connection
    match backend.kind:
        case "sqlite":
            return driver.in_transaction
        case "postgresql":
            return bool(driver.info.transaction_status)
        case _:
            return bool(driver.server_status & 1)


def test_a_transaction_is_seen_by_others_at_its_end(backend: Backend) -> None:
    backend.database.create_image(image(name="old"))
    with Transaction(backend.engine) as connection:
        rename(connection, "new")
        assert in_transaction(backend, connection)
        assert names(backend) == ["old"]
    assert names(backend) == ["new"]


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_an_error_rolls_back(backend: Backend, kind: type[BaseException]) -> None:
    backend.database.create_image(image(name="old"))
    drivers: list[object] = []

    def fail(connection: sa.Connection) -> None:
        rename(connection, "new")
        drivers.append(connection.connection.dbapi_connection)
        raise kind

    with pytest.raises(kind):
        write(backend.engine, fail)
    assert names(backend) == ["old"]
    with backend.engine.connect() as connection:
        assert connection.connection.dbapi_connection is drivers[0]
        assert not in_transaction(backend, connection)


def test_a_connection_that_comes_back_in_a_transaction_is_rolled_back(backend: Backend) -> None:
    backend.database.create_image(image(name="old"))
    with backend.engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.cursor().execute("BEGIN")
        rename(connection, "new")
    assert names(backend) == ["old"]
    with backend.engine.connect() as connection:
        assert not in_transaction(backend, connection)


def test_a_statement_that_fails_rolls_back_the_ones_before(backend: Backend) -> None:
    backend.database.create_image(image(name="old"))

    def fail(connection: sa.Connection) -> None:
        rename(connection, "new")
        connection.execute(sa.update(images).values(status=None))

    with pytest.raises(sa.exc.IntegrityError):
        write(backend.engine, fail)
    assert names(backend) == ["old"]


def test_a_transaction_without_a_statement(backend: Backend) -> None:
    with Transaction(backend.engine):
        pass
    with Transaction(backend.engine) as connection:
        assert connection.scalar(sa.select(sa.literal(1))) == 1


def test_values_that_slip_through_the_checks_are_invalid(backend: Backend) -> None:
    if backend.kind == "sqlite":
        pytest.skip("SQLite checks no lengths")
    backend.database.create_image(image())
    with pytest.raises(Invalid):
        write(backend.engine, rename, "x" * 300)


def disconnect_everybody(backend: Backend) -> None:
    """End all other sessions on the database from the server's side."""
    admin = connect(settings_for(backend.url))
    with admin.connect() as connection:
        if backend.kind == "postgresql":
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        else:
            ids = connection.exec_driver_sql(
                "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
            ).scalars()
            for session in ids.all():
                connection.exec_driver_sql(f"KILL {session}")
    admin.dispose()


def test_lost_connections_are_made_again(backend: Backend) -> None:
    if backend.kind == "sqlite":
        pytest.skip("SQLite has no connection to lose")
    stored = image()
    backend.database.create_image(stored)
    disconnect_everybody(backend)
    assert backend.database.get_image(stored.id, OWNER).id == stored.id
    disconnect_everybody(backend)
    backend.database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    disconnect_everybody(backend)
    backend.database.renew_jobs("worker-1", [Claim("0" * 32, 1)], 1.0)
    assert backend.database.get_image(stored.id, ADMIN).name == "new"


def test_a_connection_lost_in_a_transaction_runs_it_again(backend: Backend) -> None:
    if backend.kind == "sqlite":
        pytest.skip("SQLite has no connection to lose")
    backend.database.create_image(image(name="old"))
    runs: list[str] = []

    def work(connection: sa.Connection) -> None:
        rename(connection, "new")
        runs.append("run")
        if len(runs) == 1:
            disconnect_everybody(backend)
        rename(connection, "newer")

    write(backend.engine, work)
    assert (runs, names(backend)) == (["run", "run"], ["newer"])


def test_reads_do_not_wait_for_a_writer(backend: Backend) -> None:
    stored = image(name="old")
    backend.database.create_image(stored)
    with Transaction(backend.engine) as connection:
        rename(connection, "new")
        assert backend.database.get_image(stored.id, OWNER).name == "old"
        assert read(backend.engine, lambda other: other.scalar(sa.select(images.c.name))) == "old"
