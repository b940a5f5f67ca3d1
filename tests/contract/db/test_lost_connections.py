"""Broken connections: uncommitted work is repeated, a COMMIT is not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.tables import images
from glimpse.db.sql.transaction import read, write
from glimpse.domain.image import ImageChange
from glimpse.errors import DatabaseUnavailable
from glimpse.settings.model import DatabaseSettings, Secret
from tests.contract.db.backends import Backend, available, with_options
from tests.contract.db.examples import OWNER, image
from tests.support.cutting_relay import HOST, CuttingRelay
from tests.support.footprint import eventually
from tests.support.relay import Relay

SERVERS = [kind for kind in available() if kind != "sqlite"]
if not SERVERS:
    pytest.skip("no variable names a database server", allow_module_level=True)
pytestmark = pytest.mark.parametrize("backend", SERVERS, indirect=True)

WITHOUT_TLS = {"postgresql": {"sslmode": "disable"}, "mysql": {"ssl_disabled": "true"}}


def by_way_of(backend: Backend, port: int, **options: Any) -> sa.Engine:
    """An engine on the same database that connects to ``port``, in words that a relay can read."""
    url = sa.make_url(backend.url)
    there = url.set(host=HOST, port=port).update_query_dict(WITHOUT_TLS[backend.kind])
    return connect(DatabaseSettings(connection=Secret(there.render_as_string(hide_password=False)), **options))


def target_of(backend: Backend) -> tuple[str, int]:
    url = sa.make_url(backend.url)
    return url.host or HOST, url.port or {"postgresql": 5432, "mysql": 3306}[backend.kind]


@pytest.fixture
def relay(backend: Backend) -> Iterator[CuttingRelay]:
    with CuttingRelay(target_of(backend)) as running:
        yield running


@pytest.fixture
def engine(backend: Backend, relay: CuttingRelay) -> sa.Engine:
    return by_way_of(backend, relay.port)


@pytest.fixture
def database(engine: sa.Engine) -> Iterator[SqlDatabase]:
    """The database behind the relay, to which one connection is open."""
    opened = SqlDatabase(engine)
    opened.count_jobs()
    yield opened
    opened.close()


def test_a_read_that_is_cut_off_is_done_again(backend: Backend, relay: CuttingRelay, database: SqlDatabase) -> None:
    stored = image(name="old")
    backend.database.create_image(stored)
    assert database.get_image(stored.id, OWNER).name == "old"
    relay.cut_at(b"FROM images")
    assert database.get_image(stored.id, OWNER).name == "old"
    assert relay.cuts == 1


@pytest.mark.parametrize("words", [b"BEGIN", b"UPDATE images", b"INSERT INTO image_tags"])
@pytest.mark.parametrize("delivered", [False, True])
def test_a_change_that_is_cut_off_before_its_commit_is_done_again(
    backend: Backend, relay: CuttingRelay, database: SqlDatabase, words: bytes, delivered: bool
) -> None:
    stored = image(name="old")
    backend.database.create_image(stored)
    relay.cut_at(words, delivered=delivered)
    database.update_image(stored.id, ImageChange(columns={"name": "new"}, add_tags=("one",)))
    assert relay.cuts == 1
    found = backend.database.get_image(stored.id, OWNER)
    assert (found.name, found.tags) == ("new", ("one",))


@pytest.mark.parametrize("delivered", [False, True])
def test_a_lost_commit_is_told_and_not_repeated(
    backend: Backend, relay: CuttingRelay, engine: sa.Engine, database: SqlDatabase, delivered: bool
) -> None:
    backend.database.create_image(image(name=""))
    assert database.count_jobs() == {}
    runs: list[str] = []

    def work(connection: sa.Connection) -> None:
        runs.append("run")
        connection.execute(sa.update(images).values(name=images.c.name + "x"))

    relay.cut_at(b"COMMIT", delivered=delivered)
    with pytest.raises(DatabaseUnavailable, match="during the COMMIT"):
        write(engine, work)
    assert (runs, relay.cuts) == (["run"], 1)
    assert eventually(lambda: backend.rows(images)[0]["name"] == ("x" if delivered else "")), backend.rows(images)
    write(engine, work)
    assert eventually(lambda: backend.rows(images)[0]["name"] == ("xx" if delivered else "x")), backend.rows(images)


def test_a_connection_that_breaks_again_and_again_is_given_up(
    backend: Backend, relay: CuttingRelay, database: SqlDatabase
) -> None:
    stored = image(name="old")
    backend.database.create_image(stored)
    relay.cut_at(b"UPDATE images", times=100)
    with pytest.raises(DatabaseUnavailable):
        database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    assert relay.cuts == 2
    relay.cut_at(b"", times=0)
    database.update_image(stored.id, ImageChange(columns={"name": "new"}))


@pytest.fixture
def gate(backend: Backend) -> Iterator[Relay]:
    """A way to the server that can be closed."""
    with Relay(target_of(backend)) as running:
        yield running


def test_a_server_that_is_gone_is_told_at_once_and_used_again_when_it_is_back(backend: Backend, gate: Relay) -> None:
    stored = image(name="old")
    backend.database.create_image(stored)
    database = SqlDatabase(by_way_of(backend, gate.port))
    assert database.get_image(stored.id, OWNER).name == "old"
    gate.down()
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable, match="is not responding"):
            database.get_image(stored.id, OWNER)
        with pytest.raises(DatabaseUnavailable, match="is not responding"):
            database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    gate.up()
    database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    assert database.get_image(stored.id, OWNER).name == "new"
    database.close()


PATIENT = {"use_db_reconnect": True, "db_max_retries": -1, "db_retry_interval": 0.05, "db_max_retry_interval": 0.2}


@pytest.mark.parametrize("change", [True, False])
def test_with_use_db_reconnect_operations_wait_for_the_server(backend: Backend, gate: Relay, change: bool) -> None:
    stored = image(name="old")
    backend.database.create_image(stored)
    database = SqlDatabase(by_way_of(backend, gate.port, **PATIENT))
    database.get_image(stored.id, OWNER)
    gate.down()
    opens = threading.Timer(1.0, gate.up)
    opens.start()
    if change:
        database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    assert database.get_image(stored.id, OWNER).name == ("new" if change else "old")
    opens.join()
    database.close()


def test_the_waits_of_use_db_reconnect_end(backend: Backend, gate: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**PATIENT, "db_max_retries": 5, "db_retry_interval": 2, "db_max_retry_interval": 10}
    database = SqlDatabase(by_way_of(backend, gate.port, **options))
    gate.down()
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(DatabaseUnavailable, match="is not responding"):
        database.count_jobs()
    assert waits == [2, 4, 8, 10, 10]
    database.close()


IDLE = {
    "postgresql": "options=-c%20idle_session_timeout%3D100",
    "mysql": "init_command=SET%20SESSION%20wait_timeout%3D1",
}
SESSIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE pid = {}",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE id = {}",
}


def session(engine: sa.Engine) -> int:
    """The server's number of the one connection in the pool of ``engine``."""
    name = {"postgresql": "pg_backend_pid()", "mysql": "connection_id()"}[engine.dialect.name]
    return read(engine, lambda connection: connection.scalar(sa.text(f"SELECT {name}")))


@pytest.mark.parametrize("change", [True, False])
def test_connections_that_the_server_ended_for_being_idle(backend: Backend, change: bool) -> None:
    stored = image(name="old")
    backend.database.create_image(stored)
    engine = with_options(backend, IDLE[backend.kind])
    database = SqlDatabase(engine)
    number = session(engine)

    def ended() -> bool:
        with backend.engine.connect() as connection:
            return connection.scalar(sa.text(SESSIONS[backend.kind].format(number))) == 0

    assert eventually(ended, 30)
    if change:
        database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    assert database.get_image(stored.id, OWNER).name == ("new" if change else "old")
    assert session(engine) != number
    database.close()


def test_connections_are_made_anew_after_their_time(backend: Backend) -> None:
    engine = with_options(backend, connection_recycle_time=0)
    assert session(engine) != session(engine)
    engine.dispose()
    engine = with_options(backend, connection_recycle_time=-1)
    assert session(engine) == session(engine)
    engine.dispose()


def test_the_transaction_of_a_lost_connection_holds_nobody_up(
    backend: Backend, relay: CuttingRelay, database: SqlDatabase
) -> None:
    """The second run of a change needs the row that the first one had locked."""
    stored = image(name="old")
    backend.database.create_image(stored)
    relay.cut_at(b"INSERT INTO image_properties", delivered=True)
    change = ImageChange(columns={"name": "new"}, set_properties={"colour": "red"})
    database.update_image(stored.id, change)
    assert relay.cuts == 1
    assert backend.database.get_image(stored.id, OWNER).properties == {"colour": "red"}


LIMITED: dict[str, tuple[str, ...]] = {
    "postgresql": (
        "DROP ROLE IF EXISTS {0}",
        "CREATE ROLE {0} LOGIN PASSWORD 'word' CONNECTION LIMIT 1",
    ),
    "mysql": (
        "CREATE OR REPLACE USER {0} IDENTIFIED BY 'word' WITH MAX_USER_CONNECTIONS 1",
        "GRANT SELECT ON *.* TO {0}",
    ),
}


@pytest.fixture
def limited(backend: Backend) -> Iterator[Callable[[], sa.Engine]]:
    """Engines of one user, who may have one connection."""
    url = sa.make_url(backend.url)
    name = f"{url.database}_limited"[-30:]
    engines: list[sa.Engine] = []

    def run(*statements: str) -> None:
        with backend.engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.format(name))

    def opened() -> sa.Engine:
        theirs = url.set(username=name, password="word").render_as_string(hide_password=False)
        engines.append(connect(DatabaseSettings(connection=Secret(theirs))))
        return engines[-1]

    run(*LIMITED[backend.kind])
    yield opened
    for engine in engines:
        engine.dispose()
    run("DROP ROLE {0}" if backend.kind == "postgresql" else "DROP USER {0}")


def test_a_server_that_takes_no_more_connections(limited: Callable[[], sa.Engine]) -> None:
    first, second = limited(), limited()
    with first.connect(), pytest.raises(DatabaseUnavailable):
        read(second, lambda connection: connection.scalar(sa.select(sa.literal(1))))
    first.dispose()

    def free() -> bool:
        try:
            return read(second, lambda connection: connection.scalar(sa.select(sa.literal(1)))) == 1
        except DatabaseUnavailable:
            return False

    assert eventually(free, 30), "the first connection was closed"


def test_a_user_without_rights_is_no_defect(backend: Backend, limited: Callable[[], sa.Engine]) -> None:
    engine = limited()
    if backend.kind == "mysql":
        backend.database.create_image(image())
    with pytest.raises(DatabaseUnavailable, match="lacks the permission"):
        write(engine, lambda connection: connection.execute(sa.update(images).values(name="new")))
    engine.dispose()


def test_an_address_without_a_server_and_a_wrong_password(backend: Backend) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    wrong = sa.make_url(backend.url).set(password="wrong").render_as_string(hide_password=False)
    for engine in (by_way_of(backend, port), connect(DatabaseSettings(connection=Secret(wrong)))):
        with pytest.raises(DatabaseUnavailable) as failed:
            SqlDatabase(engine).count_jobs()
        assert "wrong" not in str(failed.value)
        engine.dispose()
