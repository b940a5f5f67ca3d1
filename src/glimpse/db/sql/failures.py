"""What the errors of drivers mean: the one place that knows their codes."""

from __future__ import annotations

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from glimpse.errors import DatabaseUnavailable, GlimpseError, Invalid

# PostgreSQL: serialization failure, deadlock
_RETRY_SQLSTATES = {"40001", "40P01"}
# MySQL and MariaDB: deadlock (also a refused Galera certificate), record changed since last read, and what a
# deadlock over the lock of an AUTO_INCREMENT is reported as
_RETRY_ERRNOS = {1213, 1020, 1467}


def translate(error: SQLAlchemyError) -> GlimpseError | None:
    """The domain error for a failure of the database; None for what only a defect of Glimpse can cause.

    The text of the driver is left out: it may name hosts, files and values.
    """
    match error:
        case PoolTimeoutError():
            return DatabaseUnavailable("All connections to the database are in use.")
        case DataError():
            return Invalid("A value does not fit its column in the database.")
        case OperationalError() | InterfaceError() | InternalError():
            return DatabaseUnavailable("The database does not answer now.")
        case DBAPIError() if error.connection_invalidated:
            return DatabaseUnavailable("The connection to the database was lost.")
        case _:
            return None


def connection_lost(error: SQLAlchemyError) -> bool:
    """Whether the connection is gone, so that the same work on a new one may succeed."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def collided(error: SQLAlchemyError) -> bool:
    """Whether the database rolled the transaction back because of another one."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    if getattr(error.orig, "sqlstate", None) in _RETRY_SQLSTATES:
        return True
    return bool(error.orig.args) and error.orig.args[0] in _RETRY_ERRNOS
