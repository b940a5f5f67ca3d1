"""Creates and drops indexes on tables in use, while Glance and Glimpse continue reading and writing.

PostgreSQL builds them CONCURRENTLY, which is not allowed in a transaction: an open transaction is committed first and
another is begun afterwards, so a revision must do this before or after its other changes, never between two that belong
together. MySQL and MariaDB build them in place without a lock, and wait for running transactions only briefly, because
all later statements wait behind this one. SQLite has one writer and builds them in the transaction.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from glimpse.errors import DatabaseUnavailable

#: Prefix of all indexes that Glimpse adds to Glance's tables; ``glimpse db drop-extensions`` relies on it.
PREFIX = "glimpse_"

# For MySQL and MariaDB: seconds to wait for transactions that use the table, seconds between attempts, in which queued
# statements can run, and number of attempts.
_MYSQL_WAIT = 2
_MYSQL_PAUSE = 1
_MYSQL_ATTEMPTS = 100
_MYSQL_LOCK_WAIT_TIMEOUT = 1205

# the end of the name that the successor of an index has on PostgreSQL while both are there
_NEXT = "_next"


class IndexState(Enum):
    """The state of an index in a database."""

    MISSING = "missing"
    #: Left by an interrupted concurrent build on PostgreSQL: it slows down writes and is not used by queries.
    INVALID = "invalid"
    VALID = "valid"


def index_state(connection: Connection, name: str, table: str) -> IndexState:
    """Look up an index by its name."""
    match connection.dialect.name:
        case "postgresql":
            valid = connection.scalar(_POSTGRESQL_STATE, {"name": name, "table": table})
            return IndexState.MISSING if valid is None else IndexState.VALID if valid else IndexState.INVALID
        case "mysql":
            found = connection.scalar(_MYSQL_COLUMNS, {"name": name, "table": table})
        case _:
            found = connection.scalar(_SQLITE_INDEXES, {"name": name, "table": table})
    return IndexState.VALID if found else IndexState.MISSING


def create_index_online(
    connection: Connection,
    name: str,
    table: str,
    columns: Sequence[str],
    *,
    where: str | None = None,
    mysql_length: Mapping[str, int] | None = None,
) -> None:
    """Create an index unless it exists; replaces the rest of an interrupted build.

    Call it with ``op.get_bind()``. The caller holds the lock on the schema, so an invalid index is not still being
    built.

    :param name: begins with ``glimpse_`` on tables of Glance.
    :param columns: names, optionally followed by ``DESC``, or SQL expressions in parentheses.
    :param where: condition of a partial index; ignored on MySQL and MariaDB, which have no partial indexes.
    :param mysql_length: characters of a column that MySQL and MariaDB index, by column.
    :raises DatabaseUnavailable: transactions keep the table in use on MySQL or MariaDB.
    """
    state = index_state(connection, name, table)
    if state is IndexState.VALID:
        return
    if state is IndexState.INVALID:
        drop_index_online(connection, name, table)
    dialect = connection.dialect.name
    quote = connection.dialect.identifier_preparer.quote
    target = f"{quote(name)} ON {quote(table)} ({_elements(connection, columns, mysql_length)})"
    condition = f" WHERE {where}" if where and dialect != "mysql" else ""
    match dialect:
        case "postgresql":
            _outside_transaction(connection, f"CREATE INDEX CONCURRENTLY {target}{condition}")
        case "mysql":
            _in_place(connection, f"CREATE INDEX {target} ALGORITHM=INPLACE LOCK=NONE")
        case _:
            connection.exec_driver_sql(f"CREATE INDEX {target}{condition}")


def replace_index_online(
    connection: Connection, name: str, table: str, columns: Sequence[str], *, where: str | None = None
) -> None:
    """Give an index other columns, or another condition; the old one serves queries until the new one is built.

    Interrupted, it is called again, and builds the index once more if it had been replaced already. An index that is
    missing is created.

    :raises DatabaseUnavailable: as for :func:`create_index_online`.
    """
    quote = connection.dialect.identifier_preparer.quote
    if connection.dialect.name == "postgresql":
        following = f"{name}{_NEXT}"
        create_index_online(connection, following, table, columns, where=where)
        drop_index_online(connection, name, table)
        connection.exec_driver_sql(f"ALTER INDEX {quote(following)} RENAME TO {quote(name)}")
    elif connection.dialect.name == "mysql" and index_state(connection, name, table) is IndexState.VALID:
        added = f"ADD INDEX {quote(name)} ({_elements(connection, columns)})"
        dropped = f"DROP INDEX {quote(name)}"
        _in_place(connection, f"ALTER TABLE {quote(table)} {dropped}, {added}, ALGORITHM=INPLACE, LOCK=NONE")
    else:
        drop_index_online(connection, name, table)
        create_index_online(connection, name, table, columns, where=where)


def drop_index_online(connection: Connection, name: str, table: str) -> None:
    """Drop an index if it exists, in any state.

    :raises DatabaseUnavailable: as for :func:`create_index_online`.
    """
    if index_state(connection, name, table) is IndexState.MISSING:
        return
    quote = connection.dialect.identifier_preparer.quote
    match connection.dialect.name:
        case "postgresql":
            _outside_transaction(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {quote(name)}")
        case "mysql":
            _in_place(connection, f"ALTER TABLE {quote(table)} DROP INDEX {quote(name)}, ALGORITHM=INPLACE, LOCK=NONE")
        case _:
            connection.exec_driver_sql(f"DROP INDEX {quote(name)}")


def own_indexes(connection: Connection) -> list[tuple[str, str]]:
    """Return name and table of each index that Glimpse added to Glance's tables, including invalid ones."""
    found = connection.execute(_ALL_INDEXES[connection.dialect.name])
    return sorted((name, table) for name, table in found if name.startswith(PREFIX) and not table.startswith(PREFIX))


_ALL_INDEXES = {
    "postgresql": sa.text("SELECT indexname, tablename FROM pg_indexes WHERE schemaname = current_schema()"),
    "mysql": sa.text(
        "SELECT DISTINCT index_name, table_name FROM information_schema.statistics WHERE table_schema = database()"
    ),
    "sqlite": sa.text("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'"),
}
_POSTGRESQL_STATE = sa.text(
    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name) AND indrelid = to_regclass(:table)"
)
_MYSQL_COLUMNS = sa.text(
    "SELECT count(*) FROM information_schema.statistics"
    " WHERE table_schema = database() AND table_name = :table AND index_name = :name"
)
_SQLITE_INDEXES = sa.text(
    "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name = :name AND tbl_name = :table"
)


def _elements(connection: Connection, columns: Sequence[str], mysql_length: Mapping[str, int] | None = None) -> str:
    lengths = (mysql_length or {}) if connection.dialect.name == "mysql" else dict[str, int]()
    quote = connection.dialect.identifier_preparer.quote
    return ", ".join(_element(column, lengths, quote) for column in columns)


def _element(column: str, lengths: Mapping[str, int], quote: Any) -> str:
    if column.startswith("("):
        return column
    name, _, order = column.partition(" ")
    length = f"({lengths[name]})" if name in lengths else ""
    return f"{quote(name)}{length}{' ' + order if order else ''}"


def _outside_transaction(connection: Connection, statement: str) -> None:
    driver = cast("Any", connection.connection.dbapi_connection)
    # 0 is libpq's PQTRANS_IDLE
    inside = bool(driver.pgconn.transaction_status)
    if inside:
        driver.commit()
    # an interrupted build would leave an invalid index
    timeout = driver.execute("SHOW statement_timeout").fetchone()
    driver.execute("SET statement_timeout = 0")
    try:
        connection.exec_driver_sql(statement)
    finally:
        if not driver.closed:
            driver.execute("SELECT set_config('statement_timeout', %s, false)", timeout)
    if inside:
        driver.execute("BEGIN")


def _in_place(connection: Connection, statement: str) -> None:
    with _waiting_briefly(connection):
        for _ in range(_MYSQL_ATTEMPTS):
            try:
                connection.exec_driver_sql(statement)
            except OperationalError as error:
                if error.orig is None or error.orig.args[0] != _MYSQL_LOCK_WAIT_TIMEOUT:
                    raise
                time.sleep(_MYSQL_PAUSE)
            else:
                return
    raise DatabaseUnavailable("Long transactions are using the tables: end them, or try again later.")


@contextmanager
def _waiting_briefly(connection: Connection) -> Generator[None]:
    before = connection.scalar(sa.text("SELECT @@SESSION.lock_wait_timeout"))
    connection.execute(sa.text("SET SESSION lock_wait_timeout = :seconds"), {"seconds": _MYSQL_WAIT})
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.execute(sa.text("SET SESSION lock_wait_timeout = :seconds"), {"seconds": before})
