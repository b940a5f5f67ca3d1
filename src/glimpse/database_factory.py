"""Opens the configured database: SQL, or a registry. Only the one that is used is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from glimpse.context import CALLER
from glimpse.db.base import Database
from glimpse.settings.database_url import addresses, is_registry
from glimpse.settings.errors import SettingsError
from glimpse.settings.model import Settings
from glimpse.settings.startup import pool_of_service, with_pool
from glimpse.tls_files import TlsFileError

if TYPE_CHECKING:
    from glimpse.registry.client import RegistryDatabase


def open_database(
    settings: Settings, *, pool: int | None = None, on_connect: Callable[[], None] | None = None
) -> Database:
    """Make the object; nothing is connected yet.

    ``pool`` connections are kept open where the settings say no number; by default those of `glimpse serve`.
    ``on_connect`` is called for each connection to a database that is made.

    :raises Invalid: the URL cannot be read.
    :raises SettingsError: a certificate or key for the registry cannot be used.
    """
    if is_registry(settings.database.connection):
        return open_registry(settings)
    from glimpse.db.sql.factory import open_database as open_sql  # noqa: PLC0415

    size = pool_of_service(settings) if pool is None else pool
    return open_sql(with_pool(settings.database, size), on_connect, keep_hours=settings.jobs.keep_hours)


def embedded_directory(settings: Settings) -> str | None:
    """Directory of the SQLite database; None with any other."""
    if is_registry(settings.database.connection):
        return None
    from glimpse.db.sql.factory import sqlite_directory  # noqa: PLC0415

    return sqlite_directory(settings.database)


def for_reading(settings: Settings, database: Database) -> Database:
    """The same database as GET requests see it; see ``db/sql/factory.py``."""
    if is_registry(settings.database.connection):
        return database
    from glimpse.db.sql.factory import for_reading as sql_for_reading  # noqa: PLC0415

    return sql_for_reading(database)


def open_registry(settings: Settings) -> RegistryDatabase:
    """The registry of the settings; nothing is connected yet.

    :raises SettingsError: the URL, a certificate or a key cannot be used.
    """
    from glimpse.registry.client import RegistryDatabase  # noqa: PLC0415

    try:
        servers = addresses(settings.database.connection)
        # its methods are made from the protocol, where no type checker sees them
        return RegistryDatabase(servers, settings.registry, request_id=_request_id)  # pyright: ignore[reportAbstractUsage]
    except ValueError as error:
        message = "[database] connection: must be registry+https://HOST:PORT for a registry"
        raise SettingsError(message) from error
    except TlsFileError as error:
        raise SettingsError(str(error)) from error


def _request_id() -> str | None:
    caller = CALLER.get()
    return None if caller is None else caller.request_id
