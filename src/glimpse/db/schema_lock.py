"""Lock with which only one process at a time changes the schema; the others wait."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Executable
from sqlalchemy.exc import DBAPIError

from glimpse.db.sql.driver_errors import lacks_rights
from glimpse.db.sql.transaction import Transaction
from glimpse.errors import DatabaseUnavailable, Forbidden

#: Seconds to wait for another process, which may be building indexes on large tables.
RETRIES = 900

#: Message for the operator.
NO_RIGHTS = "The database user may not create or drop tables and indexes; on PostgreSQL it must own them."

# seconds between two attempts
_PAUSE = 0.2

# an arbitrary number for PostgreSQL's advisory lock, and a name for MySQL's
_NUMBER = 0x676C696D70736501
_NAME = "glimpse_schema"

# Statements that take the lock if it is free, and release it. Waiting processes poll: on PostgreSQL a process that
# waits in a statement keeps a snapshot, and building an index CONCURRENTLY waits for every snapshot.
_POSTGRESQL = sa.select(sa.func.pg_try_advisory_lock(_NUMBER)), sa.select(sa.func.pg_advisory_unlock(_NUMBER))
_MYSQL = sa.select(sa.func.get_lock(_NAME, 0)), sa.select(sa.func.release_lock(_NAME))


@contextmanager
def alone(engine: Engine) -> Generator[Connection]:
    """Provide a connection while no other process changes the schema; in a transaction if the database supports it.

    The server keeps the lock as long as it works for this connection, so others also wait for a statement that outlives
    a killed process.

    :raises DatabaseUnavailable: another process has the lock for longer than :data:`RETRIES`.
    :raises Forbidden: the user of the database may not do what the block does.
    """
    try:
        with _connected(engine) as connection:
            yield connection
    except DBAPIError as error:
        if lacks_rights(error):
            raise Forbidden(NO_RIGHTS) from error
        raise


@contextmanager
def _connected(engine: Engine) -> Generator[Connection]:
    match engine.dialect.name:
        case "postgresql":
            with engine.connect() as connection, _holding(connection, *_POSTGRESQL), _transaction(connection):
                yield connection
        case "mysql":
            # each DDL statement commits implicitly
            with engine.connect() as connection, _holding(connection, *_MYSQL):
                yield connection
        case _:
            with Transaction(engine) as connection:
                yield connection


@contextmanager
def _holding(connection: Connection, lock: Executable, unlock: Executable) -> Generator[None]:
    deadline = time.monotonic() + RETRIES
    while not connection.scalar(lock):
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(
                "Another process is changing the schema and did not finish in time; try again later."
            )
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.execute(unlock)


@contextmanager
def _transaction(connection: Connection) -> Generator[None]:
    # PostgreSQL's, on the connection that has the lock; SQLAlchemy's own transaction sends nothing in autocommit
    driver = cast("Any", connection.connection.dbapi_connection)
    driver.execute("BEGIN")
    try:
        yield
    except BaseException:
        if not driver.closed:
            driver.rollback()
        raise
    driver.commit()
