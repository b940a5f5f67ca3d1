"""Translation of driver error codes. The contract's tests provoke most of them on real servers; the others are MySQL
8's, a cluster's, or a full disk's, as the manuals of the databases have them.
"""

from __future__ import annotations

import psycopg
import pymysql
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from glimpse.db.sql.driver_errors import (
    collided,
    ends_connection,
    may_come_back,
    refuses_changes,
    translate,
)
from glimpse.errors import DatabaseUnavailable, Invalid


def of_mysql(number: int) -> DBAPIError:
    """As SQLAlchemy hands on what PyMySQL makes of an error number."""
    with pytest.raises(pymysql.err.Error) as raised:
        pymysql.err.raise_mysql_exception(b"\xff" + number.to_bytes(2, "little") + b"#HY000the words of the server")
    return DBAPIError.instance("UPDATE", {}, raised.value, pymysql.err.Error)  # type: ignore[return-value]


def of_postgresql(sqlstate: str) -> DBAPIError:
    return DBAPIError.instance("UPDATE", {}, psycopg.errors.lookup(sqlstate)("words"), psycopg.Error)  # type: ignore[return-value]


@pytest.mark.parametrize("number", [1213, 1020, 1467, 3101])
def test_collisions_on_mysql(number: int) -> None:
    assert collided(of_mysql(number))
    assert "concurrent changes" in str(translate(of_mysql(number)))


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_collisions_on_postgresql(sqlstate: str) -> None:
    assert collided(of_postgresql(sqlstate))
    assert "concurrent changes" in str(translate(of_postgresql(sqlstate)))


@pytest.mark.parametrize("number", [1290, 1792, 1836, 3100])
def test_servers_that_refuse_changes_on_mysql(number: int) -> None:
    error = of_mysql(number)
    assert refuses_changes(error.orig)
    assert ends_connection(error.orig)
    assert not collided(error)
    assert "accepts no changes at the moment" in str(translate(error))


def test_servers_that_refuse_changes_on_postgresql() -> None:
    error = of_postgresql("25006")
    assert ends_connection(error.orig)
    assert "accepts no changes at the moment" in str(translate(error))


@pytest.mark.parametrize("number", [1047, 1053, 1158, 1159, 1160, 1161])
def test_servers_that_go_away_on_mysql(number: int) -> None:
    error = of_mysql(number)
    assert ends_connection(error.orig)
    assert not refuses_changes(error.orig)
    assert isinstance(translate(error), DatabaseUnavailable)


@pytest.mark.parametrize("sqlstate", ["57P01", "57P02", "57P03", "57P05", "08000", "08003", "08006", "57014", "53200"])
def test_postgresql_is_unavailable(sqlstate: str) -> None:
    assert isinstance(translate(of_postgresql(sqlstate)), DatabaseUnavailable)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1040, "no more connections"), (1203, "no more connections"), (1226, "no more connections"),
        (1021, "is full"), (1114, "is full"), (1205, "busy"), (1142, "lacks the permission"),
        (1030, "is not responding"), (3024, "is not responding"),
    ],
)  # fmt: skip
def test_sentences_on_mysql(number: int, words: str) -> None:
    failure = translate(of_mysql(number))
    assert isinstance(failure, DatabaseUnavailable)
    assert words in str(failure)
    assert "the words of the server" not in str(failure)


@pytest.mark.parametrize(
    ("sqlstate", "words"),
    [("53300", "no more connections"), ("53100", "is full"), ("55P03", "busy"), ("42501", "lacks the permission")],
)
def test_sentences_on_postgresql(sqlstate: str, words: str) -> None:
    failure = translate(of_postgresql(sqlstate))
    assert isinstance(failure, DatabaseUnavailable)
    assert words in str(failure)


def test_values_that_do_not_fit() -> None:
    assert isinstance(translate(of_mysql(1406)), Invalid)
    assert isinstance(translate(of_postgresql("22001")), Invalid)


@pytest.mark.parametrize("error", [of_mysql(1064), of_mysql(1062), of_postgresql("42703"), of_postgresql("23505")])
def test_defects_are_not_hidden(error: DBAPIError) -> None:
    assert translate(error) is None
    assert not collided(error)
    assert not may_come_back(error)


@pytest.mark.parametrize(("number", "waits"), [(2003, True), (1040, True), (1045, False), (1049, False), (1193, False)])
def test_what_a_failed_connection_is_waited_for(number: int, waits: bool) -> None:
    error = OperationalError(None, None, pymysql.err.OperationalError(number, "words"))
    assert may_come_back(error) is waits
    assert isinstance(translate(error), DatabaseUnavailable)


@pytest.mark.parametrize(
    ("words", "waits"),
    [
        ("connection failed: FATAL:  the database system is starting up", True),
        ("connection failed: FATAL:  sorry, too many clients already", True),
        ("connection failed: Connection refused", True),
        ('connection failed: FATAL:  password authentication failed for user "glance"', False),
        ('connection failed: FATAL:  database "glance" does not exist', False),
        ("connection failed: server does not support SSL, but SSL was required", False),
    ],
)
def test_what_a_failed_connection_to_postgresql_is_waited_for(words: str, waits: bool) -> None:
    error = OperationalError(None, None, psycopg.OperationalError(words))
    assert may_come_back(error) is waits


def test_a_parameter_that_libpq_does_not_take_is_no_defect() -> None:
    assert isinstance(translate(ProgrammingError(None, None, psycopg.ProgrammingError("x"))), DatabaseUnavailable)
