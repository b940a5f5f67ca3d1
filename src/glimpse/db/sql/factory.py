"""Opens the SQL database of an installation."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable
from urllib.parse import unquote

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from glimpse.db.base import Database
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.driver_errors import cause, may_come_back, translate
from glimpse.db.sql.engine import connect
from glimpse.db.sql.urls import engine_url
from glimpse.domain.task import KEEP_HOURS
from glimpse.settings.model import DatabaseSettings

# --------------------------------------------------- Waiting for a database server that starts later than the service

LOG = logging.getLogger(__name__)


def wait_for_database(settings: DatabaseSettings, tell: Callable[[str], None] = LOG.warning) -> None:
    """Wait until the main database accepts a connection.

    Retries only after temporary failures: ``max_retries`` times (-1: no limit), every ``retry_interval`` seconds.
    ``tell`` is called with a message before each wait.

    :raises Invalid: the URL cannot be read.
    :raises DatabaseUnavailable: it did not accept a connection.
    """
    engine = connect(settings)
    try:
        for attempt in itertools.count(1):
            try:
                engine.connect().close()
            except SQLAlchemyError as error:
                if not may_come_back(error) or 0 <= settings.max_retries < attempt:
                    raise translate(error) or error from error
                tell(f"The database does not answer; retrying in {settings.retry_interval:g} seconds ({cause(error)})")
                time.sleep(settings.retry_interval)
            else:
                return
    finally:
        engine.dispose()


def open_database(
    settings: DatabaseSettings, on_connect: Callable[[], None] | None = None, *, keep_hours: int = KEEP_HOURS
) -> SqlDatabase:
    """Create the database object without connecting. ``on_connect`` is called for each new connection.

    ``keep_hours``: how long after its end the task of a job expires.

    :raises Invalid: the URL cannot be read.
    """
    engines = [connect(settings)]
    database = _on(engines[0], settings, keep_hours)
    if settings.slave_connection and not settings.synchronous_reader:
        engines.append(connect(settings, settings.slave_connection))
        database.read_from(_on(engines[1], settings, keep_hours))
    if on_connect is not None:
        for engine in engines:
            _tell_of_connections(engine, on_connect)
    return database


def sqlite_directory(settings: DatabaseSettings) -> str | None:
    """Return the directory of the database file; None for a server or an in-memory database.

    :raises Invalid: the URL cannot be read.
    """
    url = engine_url(settings.connection)
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    if ":memory:" in url.database or url.query.get("mode") == "memory":
        return None
    name = url.database
    if name.startswith("file:"):  # a URI of SQLite
        name = unquote(name.removeprefix("file:").removeprefix("//localhost").partition("?")[0])
    return os.path.dirname(os.path.abspath(name))


def _tell_of_connections(engine: Engine, on_connect: Callable[[], None]) -> None:
    def tell(_connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        on_connect()

    event.listen(engine, "connect", tell)


def for_reading(database: Database) -> Database:
    """Return the database for GET requests, which reads from a replica if one is configured."""
    return database.for_reading() if isinstance(database, SqlDatabase) else database


def _on(engine: Engine, settings: DatabaseSettings, keep_hours: int) -> SqlDatabase:
    key = settings.metadata_encryption_key
    if not key:
        return SqlDatabase(engine, keep_hours=keep_hours)
    # imported here: few installations have a key, and the library is not small
    from glimpse.db.sql.encrypting import EncryptingDatabase  # noqa: PLC0415
    from glimpse.db.sql.location_cipher import LocationCipher  # noqa: PLC0415

    return EncryptingDatabase(engine, LocationCipher(key), keep_hours=keep_hours)
