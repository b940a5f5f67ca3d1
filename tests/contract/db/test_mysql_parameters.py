"""Query parameters of MySQL and MariaDB URLs reach the server, or PyMySQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import certifi
import pytest
import sqlalchemy as sa

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.transaction import read
from glimpse.domain.job import Claim
from glimpse.errors import DatabaseUnavailable, Invalid
from glimpse.settings.model import DatabaseSettings, Secret
from tests.contract.db.backends import Backend, needs, only_on, with_options
from tests.contract.db.examples import OWNER, image

needs("mysql")
pytestmark = only_on("mysql")

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


@pytest.fixture
def bare_url(backend: Backend) -> str:
    """The URL without its query."""
    return sa.make_url(backend.url).set(query={}).render_as_string(hide_password=False)


def variable(engine: sa.Engine, name: str) -> Any:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"SELECT @@{name}").scalar_one()


def driver_of(engine: sa.Engine) -> Any:
    with engine.connect() as connection:
        return connection.connection.dbapi_connection


@pytest.mark.parametrize(
    "driver", ["mysql", "mysql+pymysql", "mysql+mysqldb", "mysql+mysqlconnector", "mariadb", "mariadb+pymysql"]
)
def test_urls_for_any_driver_connect(bare_url: str, driver: str) -> None:
    url = f"{driver}://{bare_url.partition('://')[2]}?charset=utf8&connect_timeout=5&use_unicode=1&compress=0"
    engine = connect(DatabaseSettings(connection=Secret(url)))
    assert variable(engine, "character_set_client") == "utf8mb4"
    assert driver_of(engine).connect_timeout == 5
    engine.dispose()


@pytest.mark.parametrize(
    "parameters",
    ["", "charset=utf8", "charset=utf8mb3", "charset=utf8mb4", "charset=latin1", "charset=utf8&use_unicode=0",
     "charset=utf8&collation=utf8_general_ci"],
)  # fmt: skip
def test_texts_do_not_depend_on_the_charset_of_the_url(bare_url: str, parameters: str) -> None:
    url = f"{bare_url}?{parameters}" if parameters else bare_url
    database = SqlDatabase(connect(DatabaseSettings(connection=Secret(url))))
    stored = image(name="Образ 画像 é", properties={"ключ": "値"}, tags=("étiquette",))
    database.create_image(stored)
    found = database.get_image(stored.id, OWNER)
    assert (found.name, found.properties, found.tags) == (stored.name, stored.properties, stored.tags)
    with pytest.raises(Invalid, match="Multilingual"):
        database.create_image(image(name="\N{WHALE}"))
    database.close()


def test_the_socket_of_the_url(backend: Backend) -> None:
    url = sa.make_url(backend.url)
    path = variable(backend.engine, "socket")
    if not Path(path).exists():
        pytest.skip("the server is on another machine")
    by_socket = sa.URL.create(
        "mysql+pymysql", url.username, url.password, database=url.database, query={"unix_socket": path}
    ).render_as_string(hide_password=False)  # fmt: skip
    engine = connect(DatabaseSettings(connection=Secret(by_socket)))
    assert driver_of(engine).host_info == "Localhost via UNIX socket"
    engine.dispose()


def test_the_sql_mode(opened: Open) -> None:
    mode = variable(opened(), "sql_mode")
    assert {"TRADITIONAL", "STRICT_ALL_TABLES"} <= set(mode.split(","))
    assert variable(opened("sql_mode=ANSI"), "sql_mode") == mode, "the option has the last word"
    assert variable(opened(mysql_sql_mode="ANSI_QUOTES"), "sql_mode") == "ANSI_QUOTES"
    server = opened(mysql_sql_mode="")
    assert variable(server, "sql_mode") == variable(server, "global.sql_mode")


def test_the_first_command_of_a_session(opened: Open) -> None:
    engine = opened("init_command=SET%20SESSION%20max_statement_time%3D7%2C%20wait_timeout%3D77")
    assert variable(engine, "wait_timeout") == 77


def test_the_waiting_for_galera(opened: Open) -> None:
    with opened().connect() as connection:
        known = connection.exec_driver_sql("SHOW SESSION VARIABLES LIKE 'wsrep_sync_wait'").first()
    if known is None:
        with pytest.raises(DatabaseUnavailable):
            SqlDatabase(opened(mysql_wsrep_sync_wait=3)).count_jobs()
    else:
        assert variable(opened(mysql_wsrep_sync_wait=3), "wsrep_sync_wait") == 3
        assert variable(opened(), "wsrep_sync_wait") == int(variable(opened(), "global.wsrep_sync_wait"))


def test_a_statement_that_takes_longer_than_the_read_timeout(opened: Open) -> None:
    engine = opened("read_timeout=1&write_timeout=2")
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        read(engine, lambda connection: connection.exec_driver_sql("SELECT sleep(60)").scalar())
    assert time.monotonic() - began < 50
    assert SqlDatabase(engine).count_jobs() == {}


def test_the_password_may_come_from_a_file(backend: Backend, tmp_path: Path) -> None:
    url = sa.make_url(backend.url)
    path = tmp_path / "my.cnf"
    path.write_text(f"[images]\nuser = {url.username}\npassword = {url.password}\n")
    without = sa.URL.create(
        "mysql", None, None, url.host, url.port, url.database,
        {"read_default_file": str(path), "read_default_group": "images"},
    ).render_as_string()  # fmt: skip
    engine = connect(DatabaseSettings(connection=Secret(without)))
    assert variable(engine, "port") == url.port
    engine.dispose()


def test_what_drivers_do_inside_themselves_is_left_out(opened: Open, backend: Backend) -> None:
    engine = opened("autocommit=false&compress=true&multi_statements=1&local_infile=0&max_allowed_packet=33554432")
    assert driver_of(engine).max_allowed_packet == 33554432
    database = SqlDatabase(engine)
    stored = image()
    database.create_image(stored)
    assert backend.database.get_image(stored.id, OWNER).id == stored.id
    # of an UPDATE the rows that are found count, not those that change
    database.renew_jobs("worker-1", [Claim("0" * 32, 1)], 1.0)
    assert driver_of(opened("client_flag=0")).client_flag == driver_of(backend.engine).client_flag


@pytest.mark.parametrize("parameters", ["ssl_ca={ca}", "ssl_mode=REQUIRED", "ssl_ca={ca}&ssl_verify_identity=true"])
def test_a_server_without_tls_is_refused_where_tls_is_asked_for(opened: Open, parameters: str) -> None:
    if variable(opened(), "have_ssl") == "YES":
        pytest.skip("this server has TLS")
    with pytest.raises(DatabaseUnavailable):
        SqlDatabase(opened(parameters.format(ca=certifi.where()))).count_jobs()
    assert SqlDatabase(opened("ssl_disabled=true")).count_jobs() == {}
    assert SqlDatabase(opened("ssl_mode=DISABLED")).count_jobs() == {}
    assert SqlDatabase(opened("ssl_mode=PREFERRED")).count_jobs() == {}


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("sslmode=require", "sslmode"),
        ("cursorclass=x", "cursorclass"),
        ("connect_timeout=soon", "connect_timeout"),
        ("client_flag=x", "parameter"),
        ("ssl_mode=perhaps", "ssl_mode"),
        ("ssl_disabled=perhaps", "ssl_disabled"),
        ("ssl_ca=/no/such/file", "ssl_ca"),
        ("ssl_verify_cert=true", "ssl_ca"),
    ],
)
def test_parameters_that_cannot_be_used_are_named(opened: Open, parameters: str, name: str) -> None:
    with pytest.raises(Invalid, match=name):
        opened(parameters)


def test_a_value_that_pymysql_refuses_is_no_defect(opened: Open) -> None:
    with pytest.raises(DatabaseUnavailable):
        SqlDatabase(opened("connect_timeout=-1")).count_jobs()
