"""The effect of ``[database]`` options for the pool, the start and debugging."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from glimpse.db import schema
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.factory import for_reading, open_database, wait_for_database
from glimpse.db.sql.urls import with_one_context
from glimpse.domain.image import ImageChange
from glimpse.errors import DatabaseUnavailable
from glimpse.settings.model import DatabaseSettings, Secret
from tests.contract.db.backends import Backend, available, directly, only_on, with_options
from tests.contract.db.examples import ADMIN, OWNER, image
from tests.support.private_ca import authority
from tests.support.relay import Relay

SERVERS = [kind for kind in available() if kind != "sqlite"]
CHANGE = ImageChange(columns={"name": "new"}, add_tags=("two",))
on_servers = pytest.mark.parametrize("backend", SERVERS, indirect=True)


@directly()
@pytest.mark.parametrize(("size", "overflow", "most"), [(1, 1, 2), (2, 0, 2), (0, 0, 20), (1, -1, 20)])
def test_the_size_of_the_pool(backend: Backend, size: int, overflow: int, most: int) -> None:
    engine = with_options(backend, max_pool_size=size, max_overflow=overflow, pool_timeout=0)
    held = [engine.connect() for _ in range(most)]
    if most < 20:
        with pytest.raises(DatabaseUnavailable, match="in use"):
            SqlDatabase(engine).count_jobs()
    for connection in held:
        connection.close()
    assert SqlDatabase(engine).count_jobs() == {}
    engine.dispose()


@directly()
def test_connections_are_counted_and_those_of_the_pool_made_once(backend: Backend) -> None:
    made: list[None] = []
    settings = DatabaseSettings(connection=Secret(backend.url), max_pool_size=3)
    database = open_database(settings, lambda: made.append(None))
    engine = database._engine
    for connections, expected in ((3, 3), (3, 3), (5, 5), (5, 7)):
        held = [engine.connect() for _ in range(connections)]
        for connection in held:
            connection.close()
        # beyond the pool each is made for one use
        assert len(made) == expected
    database.close()


@only_on("mysql")
def test_connections_to_mysql_share_one_tls_context(backend: Backend) -> None:
    engine = with_options(backend)
    held = [engine.connect() for _ in range(3)]
    contexts: list[Any] = [cast("Any", one.connection.dbapi_connection).ctx for one in held]
    assert all(context is contexts[0] for context in contexts)
    for one in held:
        one.close()
    engine.dispose()


def test_a_tls_context_is_made_anew_when_a_file_of_it_changes(tmp_path: Path) -> None:
    pymysql = pytest.importorskip("pymysql")
    file = authority(tmp_path) / "ca.crt"
    kind = with_one_context(pymysql.connections.Connection)

    def context() -> Any:
        return kind(defer_connect=True, ssl={"ca": str(file)}).ctx

    first = context()
    assert context() is first
    os.utime(file, (1, 1))
    assert context() is not first


@directly()
def test_a_connection_that_becomes_free_in_time_is_waited_for(backend: Backend) -> None:
    engine = with_options(backend, max_pool_size=1, max_overflow=0, pool_timeout=60)
    held = engine.connect()
    release = threading.Timer(0.2, held.close)
    release.start()
    assert SqlDatabase(engine).count_jobs() == {}
    release.join()
    engine.dispose()


@directly()
@pytest.mark.parametrize(("level", "rows"), [(50, False), (100, True)])
def test_statements_in_the_log(backend: Backend, caplog: pytest.LogCaptureFixture, level: int, rows: bool) -> None:
    logger = logging.getLogger("sqlalchemy.engine")
    before = logger.level
    try:
        database = SqlDatabase(with_options(backend, connection_debug=level))
        stored = image(name="a name that nobody else may see")
        database.create_image(stored)
        assert "INSERT INTO images" in caplog.text
        assert stored.name not in caplog.text
        database.get_image(stored.id, OWNER)
        assert ("Row" in caplog.text) is rows
        database.close()
    finally:
        logger.setLevel(before)


@directly()
def test_statements_name_who_sent_them(backend: Backend) -> None:
    engine = with_options(backend, connection_trace=True)
    database = SqlDatabase(engine)
    sent: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda _connection, _cursor, statement, *_: sent.append(statement))
    stored = image(name="é", properties={"a": "%s"}, tags=("one",))
    database.create_image(stored)
    assert database.get_image(stored.id, OWNER).properties == {"a": "%s"}
    database.update_image(stored.id, CHANGE)
    assert all(statement.startswith("/* glimpse.db.sql.") for statement in sent), sent
    assert any("glimpse.db.sql.images.create_image:" in statement for statement in sent)
    database.close()


# ------------------------------------------------------------------------------------------------------- the start


def behind(backend: Backend, gate: Relay, **options: Any) -> DatabaseSettings:
    url = sa.make_url(backend.url).set(host="127.0.0.1", port=gate.port)
    return DatabaseSettings(connection=Secret(url.render_as_string(hide_password=False)), **options)


@on_servers
def test_a_start_waits_for_the_server(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    url = sa.make_url(backend.url)
    with Relay((url.host or "", url.port or 0)) as gate:
        gate.down()
        opens = threading.Timer(1.0, gate.up)
        opens.start()
        wait_for_database(behind(backend, gate, max_retries=-1, retry_interval=0.1))
        opens.join()
    assert "retrying in 0.1 seconds" in caplog.text


@on_servers
def test_a_start_gives_up(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sa.make_url(backend.url)
    waits: list[float] = []
    with Relay((url.host or "", url.port or 0)) as gate:
        gate.down()
        monkeypatch.setattr(time, "sleep", waits.append)
        with pytest.raises(DatabaseUnavailable):
            wait_for_database(behind(backend, gate))
    assert waits == [10.0] * 10


@on_servers
def test_a_start_does_not_wait_where_that_is_of_no_use(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sa.make_url(backend.url)
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("it waits"))
    for wrong in (url.set(password="wrong"), url.set(database="no_such_database")):
        settings = DatabaseSettings(connection=Secret(wrong.render_as_string(hide_password=False)))
        with pytest.raises(DatabaseUnavailable) as refused:
            wait_for_database(settings)
        assert "wrong" not in str(refused.value)


def test_a_start_does_not_wait_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("it waits"))
    settings = DatabaseSettings(connection=Secret(f"sqlite:///{tmp_path}/no/such/directory/g.sqlite"))
    with pytest.raises(DatabaseUnavailable):
        wait_for_database(settings)


# ----------------------------------------------------------------------------------------------------- the replica


@pytest.fixture
def replica_url(tmp_path: Path) -> str:
    """A database of its own that stands for a replica: what was never copied tells which one answered."""
    url = f"sqlite:///{tmp_path}/replica.sqlite"
    engine = connect(DatabaseSettings(connection=Secret(url)))
    schema.sync(engine)
    engine.dispose()
    return url


@directly()
@pytest.mark.parametrize(("synchronous", "answers"), [(False, "replica"), (True, "main")])
def test_who_reads(backend: Backend, replica_url: str, synchronous: bool, answers: str) -> None:
    stored = image(name="main")
    backend.database.create_image(stored)
    replica = SqlDatabase(connect(DatabaseSettings(connection=Secret(replica_url))))
    replica.create_image(image(id=stored.id, name="replica"))
    settings = DatabaseSettings(
        connection=Secret(backend.url), slave_connection=Secret(replica_url), synchronous_reader=synchronous
    )
    database = open_database(settings)
    reading = for_reading(database)
    assert database.get_image(stored.id, OWNER).name == "main"
    assert reading.get_image(stored.id, OWNER).name == answers
    # what changes something goes to the main database, whoever asks
    reading.update_image(stored.id, CHANGE)
    assert database.get_image(stored.id, OWNER).name == "new"
    assert replica.get_image(stored.id, ADMIN).name == "replica"
    replica.close()
    database.close()


@directly()
def test_while_the_replica_does_not_answer_the_main_database_does(backend: Backend, tmp_path: Path) -> None:
    stored = image(name="main")
    backend.database.create_image(stored)
    settings = DatabaseSettings(
        connection=Secret(backend.url),
        slave_connection=Secret(f"sqlite:///{tmp_path}/no/such/directory/g.sqlite"),
        synchronous_reader=False,
    )
    database = open_database(settings)
    assert for_reading(database).get_image(stored.id, OWNER).name == "main"
    database.close()
