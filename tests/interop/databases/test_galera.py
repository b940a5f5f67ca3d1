"""MariaDB with Galera: a node outside the primary component, and transactions rolled back by replication."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from glimpse.db import schema
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.tables import images
from glimpse.db.sql.transaction import write
from glimpse.domain.image import ImageChange
from glimpse.errors import DatabaseUnavailable
from glimpse.settings.model import DatabaseSettings, Secret
from tests.contract.db.examples import OWNER, image
from tests.support.database_rig import DatabaseRig
from tests.support.footprint import eventually
from tests.support.service import free_port

GALERA = (
    "--wsrep-on=ON --wsrep-provider=/usr/lib/galera/libgalera_smm.so --wsrep-new-cluster"
    " --wsrep-cluster-address=gcomm:// --wsrep-node-address=127.0.0.1 --binlog-format=ROW"
    " --innodb-autoinc-lock-mode=2"
    " --wsrep-provider-options=gcache.size=8M;gmcast.listen_addr=tcp://127.0.0.1:{}"
)
#: A cluster that is not there, and one of this node alone.
LOST, ALONE = "gcomm://127.0.0.1:1?pc.wait_prim=no", "gcomm://"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A database on a cluster of one node."""
    with DatabaseRig("mysql", "galera", RIG_MARIADB_OPTIONS=GALERA.format(free_port())) as rig:
        yield rig.database("galera")


@pytest.fixture
def admin(url: str) -> Iterator[sa.Engine]:
    made = connect(DatabaseSettings(connection=Secret(url)))
    schema.sync(made)
    yield made
    made.dispose()


@pytest.fixture
def engine(url: str, admin: sa.Engine) -> Iterator[sa.Engine]:
    made = connect(DatabaseSettings(connection=Secret(url), mysql_wsrep_sync_wait=7))
    yield made
    made.dispose()


def ask(engine: sa.Engine, statement: str) -> object:
    with engine.connect() as connection:
        found = connection.exec_driver_sql(statement)
        return found.fetchone()[-1] if found.returns_rows else None


def test_reads_wait_for_what_other_nodes_have_written(engine: sa.Engine) -> None:
    assert ask(engine, "SELECT @@wsrep_sync_wait") == 7
    assert ask(engine, "SHOW STATUS LIKE 'wsrep_cluster_status'") == "Primary"


def test_a_node_that_left_the_cluster_is_told_and_used_again_when_it_is_back(
    engine: sa.Engine, admin: sa.Engine
) -> None:
    database = SqlDatabase(engine)
    stored = image(name="old")
    database.create_image(stored)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"SET GLOBAL wsrep_cluster_address = '{LOST}'")
        try:

            def left() -> bool:
                return connection.exec_driver_sql("SHOW STATUS LIKE 'wsrep_ready'").fetchone()[-1] == "OFF"

            assert eventually(left, 30)
            with pytest.raises(DatabaseUnavailable, match="is not responding"):
                database.get_image(stored.id, OWNER)
            with pytest.raises(DatabaseUnavailable, match="is not responding"):
                database.update_image(stored.id, ImageChange(columns={"name": "new"}))
        finally:
            connection.exec_driver_sql(f"SET GLOBAL wsrep_cluster_address = '{ALONE}'")

    def is_back() -> bool:
        try:
            return database.get_image(stored.id, OWNER).name == "old"
        except DatabaseUnavailable:
            return False

    assert eventually(is_back, 30)
    database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    assert database.get_image(stored.id, OWNER).name == "new"


def test_a_transaction_that_replication_throws_out_runs_again(engine: sa.Engine, admin: sa.Engine) -> None:
    stored = image(name="old")
    SqlDatabase(engine).create_image(stored)
    runs: list[str] = []

    def work(connection: sa.Connection) -> None:
        runs.append("run")
        connection.execute(sa.update(images).where(images.c.id == stored.id).values(name=f"run {len(runs)}"))
        if len(runs) == 1:
            # what is replicated as a whole ends every local transaction that is in its way
            ask(admin, "ALTER TABLE images COMMENT = 'in the way'")

    write(engine, work)
    assert runs == ["run", "run"]
    assert SqlDatabase(engine).get_image(stored.id, OWNER).name == "run 2"
