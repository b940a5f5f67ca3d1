"""One process at a time changes the schema; the others wait for it."""

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

#: Seconds that a process waits for another one, which may be building indexes of large tables.
RETRIES = 900

#: The sentence for the operator.
NO_RIGHTS = "The database user may not create or drop tables and indexes; on PostgreSQL it must own them."

# seconds between two attempts
_PAUSE = 0.2

# a number of our own for PostgreSQL's advisory locks, and a name for MySQL's
_NUMBER = 0x676C696D70736501
_NAME = "glimpse_schema"

# To take the lock if it is free, and to give it back. It is asked for again and again: on PostgreSQL a process that
# waits inside a statement keeps a snapshot, and an index that the owner builds CONCURRENTLY waits for every snapshot.
_POSTGRESQL = sa.select(sa.func.pg_try_advisory_lock(_NUMBER)), sa.select(sa.func.pg_advisory_unlock(_NUMBER))
_MYSQL = sa.select(sa.func.get_lock(_NAME, 0)), sa.select(sa.func.release_lock(_NAME))


@contextmanager
def alone(engine: Engine) -> Generator[Connection]:
    """A connection that no other process changes the schema next to; in a transaction where the database has them.

    The server keeps the lock for as long as it works for this connection, so a statement that outlives a killed
    process is waited for, too.

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
            # each DDL statement commits by itself
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
