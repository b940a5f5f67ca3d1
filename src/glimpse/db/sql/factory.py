"""Opens the SQL database of an installation."""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import unquote

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from glimpse.db.base import Database
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.urls import engine_url
from glimpse.settings.model import DatabaseSettings


def open_database(settings: DatabaseSettings, on_connect: Callable[[], None] | None = None) -> SqlDatabase:
    """Create the database object without connecting. ``on_connect`` is called for each new connection.

    :raises Invalid: the URL cannot be read.
    """
    engines = [connect(settings)]
    database = _on(engines[0], settings)
    if settings.slave_connection and not settings.synchronous_reader:
        engines.append(connect(settings, settings.slave_connection))
        database.read_from(_on(engines[1], settings))
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


def _on(engine: Engine, settings: DatabaseSettings) -> SqlDatabase:
    key = settings.metadata_encryption_key
    if not key:
        return SqlDatabase(engine)
    # imported here: few installations have a key, and the library is not small
    from glimpse.db.sql.encrypting import EncryptingDatabase  # noqa: PLC0415
    from glimpse.db.sql.location_cipher import LocationCipher  # noqa: PLC0415

    return EncryptingDatabase(engine, LocationCipher(key))
