"""Query parameters of PostgreSQL URLs reach the server, or libpq."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.urls import CONNECT_TIMEOUT
from glimpse.errors import DatabaseUnavailable, Invalid
from glimpse.settings.model import DatabaseSettings, Secret
from tests.contract.db.backends import Backend, needs, only_on, with_options
from tests.contract.db.examples import OWNER, image

needs("postgresql")
pytestmark = only_on("postgresql")

Open = Any


@pytest.fixture
def opened(backend: Backend) -> Iterator[Open]:
    """Open the database with parameters in its URL and options; closed at the end."""
    with ExitStack() as stack:

        def run(parameters: str = "", **options: Any) -> sa.Engine:
            engine = with_options(backend, parameters, **options)
            stack.callback(engine.dispose)
            return engine

        yield run


def shown(engine: sa.Engine, name: str) -> str:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"SHOW {name}").scalar_one()


def of_libpq(engine: sa.Engine) -> dict[str, str]:
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        return driver.info.get_parameters()


def test_session_settings_of_the_url(opened: Open) -> None:
    engine = opened("application_name=images%20of%20b&options=-c%20statement_timeout%3D4321%20-c%20timezone%3DJapan")
    assert shown(engine, "application_name") == "images of b"
    assert shown(engine, "statement_timeout") == "4321ms"
    assert shown(engine, "timezone") == "Japan"


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg2", "postgresql+psycopg", "postgres"])
def test_urls_for_any_driver_connect(backend: Backend, driver: str) -> None:
    url = f"{driver}://{backend.url.partition('://')[2]}?sslmode=prefer&application_name=any"
    engine = connect(DatabaseSettings(connection=Secret(url)))
    assert shown(engine, "application_name") == "any"
    engine.dispose()


def test_the_patience_of_libpq(opened: Open) -> None:
    assert of_libpq(opened())["connect_timeout"] == str(CONNECT_TIMEOUT)
    parameters = of_libpq(opened("connect_timeout=3&keepalives_idle=30&tcp_user_timeout=20000"))
    assert parameters["connect_timeout"] == "3"
    assert parameters["keepalives_idle"] == "30"
    assert parameters["tcp_user_timeout"] == "20000"


def test_of_several_hosts_the_one_that_answers_is_taken(backend: Backend) -> None:
    url = sa.make_url(backend.url)
    query = {"host": ("127.0.0.1:1", f"{url.host}:{url.port}"), "target_session_attrs": "read-write"}
    several = sa.URL.create(
        "postgresql+psycopg2", url.username, url.password, database=url.database, query=query
    ).render_as_string(hide_password=False)  # fmt: skip
    engine = connect(DatabaseSettings(connection=Secret(several)))
    assert shown(engine, "port") == str(url.port)
    engine.dispose()


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(opened: Open) -> None:
    if shown(opened(), "ssl") == "on":
        pytest.skip("this server has TLS")
    assert shown(opened("sslmode=prefer"), "ssl") == "off"
    for mode in ("require", "verify-full"):
        with pytest.raises(DatabaseUnavailable):
            SqlDatabase(opened(f"sslmode={mode}")).count_jobs()


def test_the_password_may_come_from_a_file(backend: Backend, tmp_path: Path) -> None:
    url = sa.make_url(backend.url)
    path = tmp_path / "passwords"
    path.write_text(f"{url.host}:{url.port}:*:{url.username}:{url.password}\n")
    path.chmod(0o600)
    without = sa.URL.create(
        "postgresql", url.username, None, url.host, url.port, url.database, {"passfile": str(path)}
    ).render_as_string()  # fmt: skip
    engine = connect(DatabaseSettings(connection=Secret(without)))
    assert shown(engine, "port") == str(url.port)
    engine.dispose()


def test_texts_do_not_depend_on_the_encoding_of_the_url(opened: Open, backend: Backend) -> None:
    database = SqlDatabase(opened("client_encoding=latin1"))
    stored = image(name="Образ 画像 é")
    database.create_image(stored)
    assert database.get_image(stored.id, OWNER).name == stored.name
    assert backend.database.get_image(stored.id, OWNER).name == stored.name


@pytest.mark.parametrize(
    ("parameters", "prepares"), [("", True), ("prepare_threshold=0", True), ("prepare_threshold=none", False)]
)
def test_prepared_statements_can_be_switched_off(opened: Open, parameters: str, prepares: bool) -> None:
    with opened(parameters).connect() as connection:
        for _ in range(10):
            connection.execute(sa.text("SELECT CAST(:number AS integer)"), {"number": 1})
        count = connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one()
        assert (count > 0) is prepares


@pytest.mark.parametrize(
    ("parameters", "name"),
    [("charset=utf8", "charset"), ("sslmod=require", "sslmod"), ("connect_timeout=soon", "connect_timeout")],
)
def test_parameters_that_cannot_be_used_are_named(opened: Open, parameters: str, name: str) -> None:
    with pytest.raises(Invalid, match=name):
        opened(parameters)


def test_a_value_that_libpq_refuses_is_no_defect(opened: Open) -> None:
    for parameters in ("sslmode=perhaps", "options=-c%20no_such_setting%3D1", "application_name=a&keepalives=maybe"):
        with pytest.raises(DatabaseUnavailable):
            SqlDatabase(opened(parameters)).count_jobs()
