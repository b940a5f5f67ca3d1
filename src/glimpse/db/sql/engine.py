"""One engine from the operator's ``[database]`` options, its connections set up for each kind of database.

Connections are in the driver's autocommit, so a read costs one round trip; writes begin their transaction by
themselves (``transaction.py``).
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from types import FrameType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from glimpse.db.sql.driver_errors import ends_connection
from glimpse.db.sql.index_hints import IndexNamingCompiler
from glimpse.db.sql.retries import RETRIES, retries_of
from glimpse.db.sql.transaction import RESETS
from glimpse.db.sql.urls import engine_url, for_driver, with_one_context
from glimpse.errors import Invalid
from glimpse.settings.model import DatabaseSettings

# ---------------------------------------- Statement logging for debugging, with the function that sent each statement
# Values of parameters are never logged: the engine hides them.

_ENGINE_LOG = logging.getLogger("sqlalchemy.engine")

#: ``[database] connection_debug`` from which statements are logged, and with their results.
STATEMENTS = 50
RESULTS = 100

# frames between a statement and the code that is responsible for it
_BETWEEN = ("sqlalchemy", "glimpse.db.sql.transaction", "glimpse.db.sql.engine")


def log_statements(connection_debug: int) -> None:
    """Log statements from here on; an engine looks at this when it is made."""
    if connection_debug >= RESULTS:
        _ENGINE_LOG.setLevel(logging.DEBUG)
    elif connection_debug >= STATEMENTS:
        _ENGINE_LOG.setLevel(logging.INFO)


def mark_statements(engine: Engine) -> None:
    """Begin each statement with a comment that names the function that sent it, for the logs of the database."""

    def mark(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        return f"/* {_caller(inspect.currentframe())} */ {statement}", parameters

    event.listen(engine, "before_cursor_execute", mark, retval=True)


def _caller(frame: FrameType | None) -> str:
    while frame is not None:
        module: str = frame.f_globals.get("__name__", "")
        if not module.startswith(_BETWEEN):
            # a lambda's or comprehension's name has brackets, which are none of a comment's
            return f"{module}.{frame.f_code.co_name}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


# for a process without worker threads, such as an operator's command
_POOL = 5

#: Seconds that a writer waits for another one before SQLite reports that the database is locked.
SQLITE_BUSY_TIMEOUT = 30


def connect(settings: DatabaseSettings, connection: str | None = None) -> sa.Engine:
    """Create the engine of the main database, or of the URL ``connection`` with the same options, without connecting.

    Nothing is connected yet.

    :raises Invalid: see :func:`engine_url` and :func:`for_driver`.
    """
    url, arguments = for_driver(engine_url(settings.connection if connection is None else connection))
    backend = url.get_backend_name()
    options: dict[str, Any] = {"pool_timeout": settings.pool_timeout} if settings.pool_timeout is not None else {}
    if backend == "postgresql":
        # no column has this type, and asking for it costs a new process two round trips
        options["use_native_hstore"] = False
    if settings.connection_debug >= STATEMENTS:
        log_statements(settings.connection_debug)
    try:
        engine = sa.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            # both replaced by RESETS, which cost no round trip when there is nothing to undo
            skip_autocommit_rollback=True,
            pool_reset_on_return=None,
            pool_size=_POOL if settings.max_pool_size is None else settings.max_pool_size,
            max_overflow=settings.max_overflow,
            pool_recycle=settings.connection_recycle_time,
            connect_args={**arguments, **_own_arguments(url, settings)},
            # parameters of a statement may be private to a project: never in logs or error texts
            hide_parameters=True,
            **options,
        )
    except (ArgumentError, TypeError, ValueError):
        # the text of the error may repeat a value
        raise Invalid("A parameter of the database connection has an invalid value.") from None
    event.listen(engine, "reset", RESETS[backend])
    event.listen(engine, "handle_error", _leave_server)
    if backend == "sqlite":
        engine.dialect.statement_compiler = IndexNamingCompiler
        _set_up_sqlite(engine, full=settings.sqlite_synchronous)
    elif backend == "postgresql" and "prepare_threshold" not in arguments:
        event.listen(engine, "connect", _notice_pooler)
    elif backend == "mysql":
        event.listen(engine, "do_connect", _mysql_connector(engine.dialect))
        event.listen(engine, "connect", _mysql_session(settings))
    if settings.connection_trace:
        mark_statements(engine)
    RETRIES[engine] = retries_of(settings)
    return engine


def _own_arguments(url: sa.URL, settings: DatabaseSettings) -> dict[str, Any]:
    match url.get_backend_name():
        case "sqlite":
            return {} if "timeout" in url.query else {"timeout": SQLITE_BUSY_TIMEOUT}
        case "mysql":
            return {"sql_mode": settings.mysql_sql_mode} if settings.mysql_sql_mode else {}
        case _:
            return {}


def _leave_server(context: ExceptionContext) -> None:
    """Drop connections to a server that reports that it cannot continue, although it keeps them open."""
    if ends_connection(context.original_exception):
        context.is_disconnect = True


def _set_up_sqlite(engine: sa.Engine, *, full: bool) -> None:
    # With WAL, NORMAL survives the death of the process; FULL also that of the machine.
    synchronous = "FULL" if full else "NORMAL"

    def on_connect(connection: Any, _record: ConnectionPoolEntry) -> None:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")

    event.listen(engine, "connect", on_connect)


def _notice_pooler(connection: Any, _record: ConnectionPoolEntry) -> None:
    """Disable prepared statements behind a connection pooler, which gives each transaction another session.

    Names of prepared statements are a session's: there they would be unknown, or another client's.
    """
    (process,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    if process != connection.info.backend_pid:
        connection.prepare_threshold = None


def _mysql_connector(
    dialect: Dialect,
) -> Callable[[Dialect, ConnectionPoolEntry, list[Any], dict[str, Any]], Any]:
    driver: Any = dialect.loaded_dbapi
    one_context = with_one_context(driver.connections.Connection)

    def on_connect(_dialect: Dialect, _record: ConnectionPoolEntry, args: list[Any], keywords: dict[str, Any]) -> Any:
        try:
            return one_context(*args, **keywords)
        except OSError as error:
            # PyMySQL lets this through where a file of TLS is meant
            raise driver.OperationalError(f"No connection: {error}") from error
        except ValueError:
            # its text may have characters of the password
            raise driver.OperationalError("No connection: a value cannot be sent to the server.") from None

    return on_connect


def _mysql_session(settings: DatabaseSettings) -> Callable[[DBAPIConnection, ConnectionPoolEntry], None]:
    statements = [
        # The default, REPEATABLE READ, locks gaps between rows: writers of different images would end in deadlocks.
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        # The images of a page are looked up by their ids: looking at each in every index to find the best one first
        # takes a third of the time.
        "SET SESSION eq_range_index_dive_limit = 10",
    ]
    if settings.mysql_wsrep_sync_wait is not None:
        statements.append(f"SET SESSION wsrep_sync_wait = {settings.mysql_wsrep_sync_wait:d}")

    def on_connect(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()

    return on_connect
