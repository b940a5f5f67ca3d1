"""Translation of driver errors: the only module that knows their codes.

PostgreSQL's are SQLSTATEs; MySQL's and MariaDB's are their error numbers, which tell more than their SQLSTATEs;
SQLite's are its primary result codes. Those of MySQL 8 that MariaDB does not have are taken from its manual.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from glimpse.errors import DatabaseUnavailable, GlimpseError, Invalid

#: A SQLSTATE, an error number of MySQL, or None.
Code = str | int | None

# serialization failure, deadlock; deadlock (also a refused Galera certificate), record changed since last read, what
# a deadlock over the lock of an AUTO_INCREMENT is reported as, rolled back by a plugin (certification of a group)
_COLLISIONS = frozenset({"40001", "40P01", 1213, 1020, 1467, 3101})

# read-only transaction or standby; the server's options read_only and super_read_only, read-only transaction,
# innodb_read_only, a group that stopped taking changes
_REFUSES_CHANGES = frozenset({"25006", 1290, 1792, 1836, 3100})

# The server says that it cannot go on, and another connection may reach one that can: shutdown, crash, starting,
# idle for too long; shutdown, not part of a Galera cluster's primary component, killed, network errors
_SERVER_LEAVES = frozenset({"57P01", "57P02", "57P03", "57P05", 1047, 1053, 1079, 1158, 1159, 1160, 1161})

# no privilege; no access to the database, a user, a command on a table or column, something administrative refused
_NO_RIGHTS = frozenset({"42501", 1044, 1045, 1142, 1143, 1227})

_SENTENCES: tuple[tuple[frozenset[str | int], str], ...] = (
    (_COLLISIONS, "There were too many concurrent changes; try again."),
    (_REFUSES_CHANGES, "The database accepts no changes at the moment; reads still work."),
    (frozenset({"53300", 1040, 1203, 1226}), "The database accepts no more connections at the moment."),
    (frozenset({"53100", 1021, 1114}), "The database is full."),
    (frozenset({"55P03", 1205}), "The database is busy with other changes; try again."),
    (_NO_RIGHTS, "The database user lacks the permission for this operation."),
)
_SQLITE_SENTENCES = {
    sqlite3.SQLITE_BUSY: "The database is busy with other changes; try again.",
    sqlite3.SQLITE_LOCKED: "The database is busy with other changes; try again.",
    sqlite3.SQLITE_READONLY: "The database accepts no changes at the moment; reads still work.",
    sqlite3.SQLITE_FULL: "The database is full.",
    sqlite3.SQLITE_CORRUPT: "The database is damaged; its operator must restore a backup.",
    sqlite3.SQLITE_NOTADB: "The database is damaged; its operator must restore a backup.",
}
_NO_ANSWER = "The database is not responding."

# an index that a statement names is not there
_NO_SUCH_INDEX = 1176
_NO_SUCH_INDEX_OF_SQLITE = ("no such index", "no query solution")

# Where a connection was refused for a reason that waiting does not remove: no access, no such database, no such host,
# a session variable that the server does not know. PostgreSQL's driver gives a text only.
_NO_USE_WAITING = frozenset({1044, 1045, 1049, 1130, 1193, 1231, 2005, 2026})
_NO_USE_WAITING_TEXTS = ("authentication failed", "does not exist", "no pg_hba.conf entry", "invalid ", "SSL")


def translate(error: SQLAlchemyError) -> GlimpseError | None:
    """Return the domain error for a database failure; None if only a defect in Glimpse can cause it.

    The driver's text is omitted, because it may contain hosts, files and values.
    """
    match error:
        case PoolTimeoutError():
            return DatabaseUnavailable("All connections to the database are in use.")
        case DBAPIError() if (sentence := _sentence(error)) is not None:
            return DatabaseUnavailable(sentence)
        case DataError():
            return Invalid("A value does not fit its column in the database.")
        case OperationalError() | InterfaceError() | InternalError():
            return DatabaseUnavailable(_NO_ANSWER)
        case DBAPIError() if error.connection_invalidated:
            return DatabaseUnavailable("The connection to the database was lost.")
        case IntegrityError() | NotSupportedError():
            return None
        case ProgrammingError() if error.statement is not None:
            return None
        case DatabaseError():
            return DatabaseUnavailable(_NO_ANSWER)
        case _:
            return None


def connection_lost(error: SQLAlchemyError) -> bool:
    """Tell whether the connection is lost, so that the same work on a new one may succeed."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def collided(error: SQLAlchemyError) -> bool:
    """Tell whether the database rolled back the transaction because of another one."""
    return isinstance(error, DBAPIError) and code_of(error.orig) in _COLLISIONS


def misses_index(error: SQLAlchemyError) -> bool:
    """Tell whether a statement was refused because an index that it names is missing or not usable."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return str(error.orig).startswith(_NO_SUCH_INDEX_OF_SQLITE)
    return code_of(error.orig) == _NO_SUCH_INDEX


def lacks_rights(error: SQLAlchemyError) -> bool:
    """Tell whether the database user lacks the permission."""
    return isinstance(error, DBAPIError) and code_of(error.orig) in _NO_RIGHTS


def refuses_changes(error: BaseException | None) -> bool:
    """Tell whether the error means that the server is read-only."""
    return code_of(error) in _REFUSES_CHANGES


def ends_connection(error: BaseException | None) -> bool:
    """Tell whether another connection may succeed, although this one may still be open."""
    return code_of(error) in _SERVER_LEAVES or refuses_changes(error)


def may_come_back(error: SQLAlchemyError) -> bool:
    """Tell whether the server could not be reached for a temporary reason."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return not refuses_changes(error.orig)
    if error.statement is not None or isinstance(error.orig, sqlite3.Error):
        return False
    return code_of(error.orig) not in _NO_USE_WAITING and not any(
        text in str(error.orig) for text in _NO_USE_WAITING_TEXTS
    )


def code_of(error: BaseException | None) -> Code:
    """Return the code of a driver's error; None if it has no code."""
    first = error.args[0] if error is not None and error.args else None
    # PyMySQL's errors may have both
    return first if isinstance(first, int) else getattr(error, "sqlstate", None)


def cause(error: SQLAlchemyError) -> str:
    """Return the driver's message in one line, for the log."""
    return " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())


def _sentence(error: DBAPIError) -> str | None:
    if isinstance(error.orig, sqlite3.Error):
        return _SQLITE_SENTENCES.get(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF)
    code = code_of(error.orig)
    return next((sentence for codes, sentence in _SENTENCES if code in codes), None)
