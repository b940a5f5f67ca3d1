"""Databases that refuse changes, and collisions: reads go on, the message gives the reason, and nothing is half
done.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.tables import images
from glimpse.db.sql.transaction import write
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Claim
from glimpse.errors import DatabaseUnavailable
from tests.contract.db.backends import Backend, directly, only_on, with_options
from tests.contract.db.examples import ADMIN, LIFETIME, OWNER, STORED, image, upload_job

READ_ONLY = {
    "sqlite": "",
    "postgresql": "options=-c%20default_transaction_read_only%3Don",
    "mysql": "init_command=SET%20SESSION%20TRANSACTION%20READ%20ONLY",
}
REFUSED = "accepts no changes at the moment; reads still work"


@pytest.fixture
def reader(backend: Backend) -> Iterator[SqlDatabase]:
    """The database by way of sessions that may not write."""
    engine = with_options(backend, READ_ONLY[backend.kind])
    if backend.kind == "sqlite":

        def forbid(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
            connection.cursor().execute("PRAGMA query_only = ON")

        event.listen(engine, "connect", forbid)
    opened = SqlDatabase(engine)
    yield opened
    opened.close()


@directly()
def test_reads_go_on_while_changes_are_refused(backend: Backend, reader: SqlDatabase) -> None:
    stored = image(name="old", tags=("one",))
    backend.database.create_image(stored)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable, match=REFUSED):
            reader.update_image(stored.id, ImageChange(columns={"name": "new"}))
        with pytest.raises(DatabaseUnavailable, match=REFUSED):
            reader.create_image(image())
        with pytest.raises(DatabaseUnavailable, match=REFUSED):
            reader.begin_upload(upload_job(stored.id), LIFETIME)
        with pytest.raises(DatabaseUnavailable, match=REFUSED):
            reader.renew_jobs("worker-1", [Claim("0" * 32, 1)], 1.0)
        assert reader.get_image(stored.id, OWNER).name == "old"
    assert len(backend.rows(images)) == 1


@directly()
def test_changes_go_on_when_they_are_allowed_again(backend: Backend) -> None:
    """As after a failover: the connection that is open leads to a server that refuses, a new one does not."""
    stored = image(name="old")
    backend.database.create_image(stored)
    engine = with_options(backend)
    database = SqlDatabase(engine)
    refuse = {
        "sqlite": "PRAGMA query_only = ON",
        "postgresql": "SET default_transaction_read_only = on",
        "mysql": "SET SESSION TRANSACTION READ ONLY",
    }[backend.kind]
    with engine.connect() as connection:
        connection.exec_driver_sql(refuse)
    if backend.kind == "sqlite":
        with pytest.raises(DatabaseUnavailable, match=REFUSED):
            database.update_image(stored.id, ImageChange(columns={"name": "new"}))
        engine.dispose()
    database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    assert database.get_image(stored.id, OWNER).name == "new"
    database.close()


@directly()
def test_an_upload_that_cannot_be_recorded_changes_nothing(backend: Backend, reader: SqlDatabase) -> None:
    stored = image()
    backend.database.create_image(stored)
    claim = upload_job(stored.id)
    backend.database.begin_upload(claim, LIFETIME)
    with pytest.raises(DatabaseUnavailable, match=REFUSED):
        reader.finish_upload(claim, STORED)
    assert backend.database.get_image(stored.id, ADMIN).status == "saving"
    backend.database.finish_upload(claim, STORED)
    assert backend.database.get_image(stored.id, ADMIN).status == "active"


def collide(engine: sa.Engine, first: str, second: str) -> list[object]:
    """Two transactions that change two images in opposite order, both begun before either goes on."""
    met = threading.Barrier(2)
    outcomes: list[object] = []
    runs: dict[str, int] = {first: 0, second: 0}

    def run(one: str, other: str) -> None:
        def work(connection: sa.Connection) -> None:
            runs[one] += 1
            connection.execute(sa.update(images).where(images.c.id == one).values(name="x"))
            if runs[one] == 1:
                met.wait(30)
            connection.execute(sa.update(images).where(images.c.id == other).values(name="x"))

        try:
            write(engine, work)
            outcomes.append("done")
        except DatabaseUnavailable as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=run, args=pair) for pair in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


@directly()
@pytest.mark.parametrize("retries", [20, 0])
def test_a_deadlock_ends_one_transaction_which_runs_again(backend: Backend, retries: int) -> None:
    if backend.kind == "sqlite":
        pytest.skip("SQLite lets one writer begin at a time")
    first, second = image(), image()
    for one in (first, second):
        backend.database.create_image(one)
    engine = with_options(backend, db_max_retries=retries)
    outcomes = collide(engine, first.id, second.id)
    engine.dispose()
    if retries:
        assert outcomes == ["done", "done"]
    else:
        assert "done" in outcomes
        assert "There were too many concurrent changes; try again." in outcomes


@only_on("postgresql")
def test_transactions_that_cannot_be_put_in_an_order_run_again(backend: Backend) -> None:
    stored = image(name="")
    backend.database.create_image(stored)
    engine = with_options(backend, "options=-c%20default_transaction_isolation%3Dserializable")
    met = threading.Barrier(2)
    runs: list[str] = []

    def work(connection: sa.Connection, letter: str) -> None:
        name = connection.scalar(sa.select(images.c.name))
        runs.append(letter)
        if runs.count(letter) == 1:
            met.wait(30)
        connection.execute(sa.update(images).values(name=f"{name}{letter}"))

    threads = [threading.Thread(target=write, args=(engine, work, letter)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    engine.dispose()
    assert sorted(backend.rows(images)[0]["name"]) == ["a", "b"]
    assert len(runs) == 3
