"""Execution of statements: reads in autocommit, writes in an explicit transaction.

Both give the work another connection when theirs turns out to be lost, and turn the errors of drivers into
the domain's. SQLite takes its write lock at once (``BEGIN IMMEDIATE``), so that two writers wait for each other
and never meet half-way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial, wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState

from glimpse.db.sql.driver_errors import cause, ends_connection, refuses_changes, translate
from glimpse.db.sql.job_rows import JobRows
from glimpse.db.sql.retries import DEFAULT, FALLBACK, RETRIES, Attempts
from glimpse.errors import DatabaseUnavailable

LOG = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# pymysql's SERVER_STATUS_IN_TRANS
_MYSQL_IN_TRANSACTION = 1

_BEGIN: dict[str, Callable[[Any], object]] = {
    "sqlite": lambda driver: driver.execute("BEGIN IMMEDIATE"),
    "postgresql": lambda driver: driver.execute("BEGIN"),
    "mysql": lambda driver: driver.begin(),
}


class Transaction:
    """``with Transaction(engine) as connection``: commits at the end, rolls back on any exception.

    BEGIN goes to the driver directly: SQLAlchemy's own transaction sends nothing in autocommit. The rollback
    is the pool's, which undoes whatever is open on a connection that comes back.
    """

    __slots__ = ("_connection", "_engine")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> Connection:
        self._connection = connection = self._engine.connect()
        dialect = self._engine.dialect
        driver = connection.connection.dbapi_connection
        try:
            _BEGIN[dialect.name](driver)
        except cast("type[Exception]", dialect.loaded_dbapi.Error) as error:
            lost = dialect.is_disconnect(cast("Any", error), cast("Any", driver), None) or ends_connection(error)
            if lost:
                connection.invalidate(error)
                # the others in the pool are as old
                self._engine.dispose()
            connection.close()
            raise OperationalError("BEGIN", None, error, connection_invalidated=lost) from error
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._connection.commit()
        except DBAPIError as error:
            if error.connection_invalidated and not refuses_changes(error.orig):
                LOG.warning("The connection to the database was lost during a COMMIT: %s", cause(error))
                raise DatabaseUnavailable("The connection was lost during the COMMIT.") from error
            raise
        finally:
            self._connection.close()


def read(engine: Engine, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``work`` on a connection in autocommit; also for a write of a single statement that may be repeated.

    :raises DatabaseUnavailable: no connection, or the database refuses.
    """
    return _run(engine, engine.connect, work, *args, **kwargs)


def write(engine: Engine, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``work`` in one transaction, again after a collision with another transaction.

    :raises DatabaseUnavailable: no connection, the database refuses, or it was lost during the COMMIT (then it is
        unknown whether the change is stored).
    """
    return _run(engine, partial(Transaction, engine), work, *args, **kwargs)


def _run(
    engine: Engine,
    connect: Callable[[], AbstractContextManager[Connection]],
    work: Callable[Concatenate[Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    attempts: Attempts | None = None
    while True:
        try:
            with connect() as connection:
                return work(connection, *args, **kwargs)
        except SQLAlchemyError as error:
            attempts = attempts or Attempts(RETRIES.get(engine, DEFAULT))
            pause = attempts.pause_after(error)
            if pause is None:
                failure = translate(error)
                if failure is None:
                    raise
                if isinstance(failure, DatabaseUnavailable):
                    LOG.warning("%s (%s)", failure, cause(error))
                main = FALLBACK.get(engine)
                if main is None or not isinstance(failure, DatabaseUnavailable):
                    raise failure from error
                break
        if pause:
            time.sleep(pause)
    # a replica: what it does not answer now, the main database does
    return read(main, work, *args, **kwargs)


def reading(
    work: Callable[Concatenate[Connection, P], T], check: Callable[P, object] | None = None
) -> Callable[Concatenate[Any, P], T]:
    """The method of the database that runs ``work`` as :func:`read`; ``check`` first refuses its arguments."""
    return _operation(read, work, check)


def writing(
    work: Callable[Concatenate[Connection, P], T], check: Callable[P, object] | None = None
) -> Callable[Concatenate[Any, P], T]:
    """The method of the database that runs ``work`` as :func:`write`; ``check`` first refuses its arguments."""
    return _operation(write, work, check)


def reading_jobs(
    work: Callable[Concatenate[Connection, JobRows, P], T], check: Callable[P, object] | None = None
) -> Callable[Concatenate[Any, P], T]:
    """As :func:`reading`, for ``work`` that reads or writes rows of jobs."""
    return _operation_of_jobs(read, work, check)


def writing_jobs(
    work: Callable[Concatenate[Connection, JobRows, P], T], check: Callable[P, object] | None = None
) -> Callable[Concatenate[Any, P], T]:
    """As :func:`writing`, for ``work`` that reads or writes rows of jobs."""
    return _operation_of_jobs(write, work, check)


def _operation_of_jobs(
    run: Callable[..., Any], work: Callable[Concatenate[Connection, JobRows, P], T], check: Callable[P, object] | None
) -> Callable[Concatenate[Any, P], T]:
    @wraps(work)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        if check is not None:
            check(*args, **kwargs)
        # the rows of a database that encrypts are not those of another
        return run(self._engine, work, self._job_rows, *args, **kwargs)

    return method


def _operation(
    run: Callable[..., Any], work: Callable[Concatenate[Connection, P], T], check: Callable[P, object] | None
) -> Callable[Concatenate[Any, P], T]:
    @wraps(work)
    def method(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        if check is not None:
            check(*args, **kwargs)
        return run(self._engine, work, *args, **kwargs)

    return method


def stamp(connection: Connection) -> datetime:
    """Return the current time in the precision of the database, so that it equals the value read back later."""
    return storable_time(connection, datetime.now(UTC).replace(tzinfo=None))


def storable_time(connection: Connection, moment: datetime) -> datetime:
    """``moment`` without the fraction that MariaDB would cut and MySQL 8 would round (database 2)."""
    return moment.replace(microsecond=0) if connection.dialect.name == "mysql" else moment


def _reset_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry, _state: PoolResetState) -> None:
    if connection.in_transaction:
        connection.rollback()


def _reset_postgresql(connection: DBAPIConnection, _record: ConnectionPoolEntry, _state: PoolResetState) -> None:
    # 0 is libpq's PQTRANS_IDLE
    if connection.pgconn.transaction_status:
        connection.rollback()


def _reset_mysql(connection: DBAPIConnection, _record: ConnectionPoolEntry, _state: PoolResetState) -> None:
    if connection.server_status & _MYSQL_IN_TRANSACTION:
        connection.rollback()


# A connection given back inside a transaction is rolled back; when that fails the pool closes it.
RESETS = {"sqlite": _reset_sqlite, "postgresql": _reset_postgresql, "mysql": _reset_mysql}
