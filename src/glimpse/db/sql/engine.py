"""One engine from the operator's ``[database]`` options, its connections set up for each kind of database.

Connections are in the driver's autocommit, so a read costs one round trip; writes begin their transaction by
themselves (``transaction.py``).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from glimpse.db.sql.transaction import RESETS
from glimpse.errors import Invalid
from glimpse.settings.model import DatabaseSettings

#: Seconds that a writer waits for another one before SQLite says that the database is locked.
SQLITE_BUSY_TIMEOUT = 30

#: Backend name of a URL → the dialect and driver that serve it.
_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}


def engine_url(connection: str) -> sa.URL:
    """Read an operator's database URL, and name the driver that Glimpse uses; query parameters are kept.

    :raises Invalid: the URL cannot be read, or names a database that Glimpse does not know.
    """
    try:
        url = sa.make_url(connection)
    except ArgumentError:
        # the text of the error may repeat the URL, which holds a password
        raise Invalid("The database connection is not a URL.") from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise Invalid(f"Databases of the kind {backend} are not supported.")
    if backend == "sqlite" and (url.database in {None, "", ":memory:"} or "memory" in url.query.values()):
        raise Invalid("An SQLite database must be a file.")
    return url.set(drivername=_DRIVERS[backend])


def connect(settings: DatabaseSettings) -> sa.Engine:
    """Make the engine; nothing is connected yet.

    :raises Invalid: see :func:`engine_url`.
    """
    url = engine_url(settings.connection)
    backend = url.get_backend_name()
    options: dict[str, Any] = {"pool_timeout": settings.pool_timeout} if settings.pool_timeout is not None else {}
    engine = sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        # both replaced by RESETS, which cost no round trip when there is nothing to undo
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
        pool_size=settings.max_pool_size,
        max_overflow=settings.max_overflow,
        pool_recycle=settings.connection_recycle_time,
        connect_args=_connect_arguments(url, settings),
        # parameters of a statement may be private to a project: never in logs or error texts
        hide_parameters=True,
        **options,
    )
    event.listen(engine, "reset", RESETS[backend])
    if backend == "sqlite":
        _set_up_sqlite(engine, full=settings.sqlite_synchronous)
    elif backend == "mysql":
        event.listen(engine, "connect", _set_up_mysql)
    return engine


def _connect_arguments(url: sa.URL, settings: DatabaseSettings) -> dict[str, Any]:
    match url.get_backend_name():
        case "sqlite":
            return {"timeout": SQLITE_BUSY_TIMEOUT}
        case "mysql":
            arguments: dict[str, Any] = {"sql_mode": settings.mysql_sql_mode} if settings.mysql_sql_mode else {}
            if "charset" not in url.query:
                arguments["charset"] = "utf8mb4"
            return arguments
        case _:
            return {}


def _set_up_sqlite(engine: sa.Engine, *, full: bool) -> None:
    # With WAL, NORMAL survives the death of the process; FULL also that of the machine.
    synchronous = "FULL" if full else "NORMAL"

    def on_connect(connection: Any, _record: ConnectionPoolEntry) -> None:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")

    event.listen(engine, "connect", on_connect)


def _set_up_mysql(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # The default, REPEATABLE READ, locks gaps between rows: writers of different images would end in deadlocks.
    cursor = connection.cursor()
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    cursor.close()
