"""The database is killed repeatedly under load: no acknowledged change is lost, nothing is half done, and recovery is
automatic.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from glimpse.db.sql.engine import connect
from glimpse.settings.model import DatabaseSettings, Secret
from tests.support.database_rig import DatabaseRig
from tests.support.drill import ACKNOWLEDGED, Client, Tally, identity
from tests.support.drill_checks import check, check_rows, unfinished
from tests.support.footprint import eventually
from tests.support.raw_http import Api
from tests.support.registry_service import RegistryService
from tests.support.service import Service

CLIENTS = 8
OPERATIONS = 25
KILLS = 5
LEASE = 3.0
#: Generous: a lease runs out, is found and recovered.
RECOVERY_SECONDS = 60.0


class Outage(threading.Thread):
    """Kills something and starts it again, several times, at moments that nobody chose."""

    def __init__(self, kill: Callable[[], None], start: Callable[[], None], seed: int) -> None:
        super().__init__(name="outage", daemon=True)
        self._kill = kill
        self._begin_again = start
        self._chance = random.Random(seed)
        self.ended = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            for _ in range(KILLS):
                time.sleep(self._chance.uniform(2, 5))
                self._kill()
                time.sleep(self._chance.uniform(0, 1.5))
                self._begin_again()
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self.ended.set()


@dataclass
class Drill:
    """A service, the database behind it as seen directly, and what its clients did."""

    service: Service
    engine: sa.Engine
    every_503_is_unknown: bool = False
    tally: Tally = field(default_factory=Tally)

    def run(self, outage: Outage) -> None:
        """Let the clients work during the outage, then see that everything is as it must be."""
        workers = self.service.workers()
        assert len(workers) == 2
        clients = self._work(outage)
        api = Api(self.service.port, identity("after"))
        assert eventually(lambda: api.call("GET", "/v2/images").status == 200, 60), self._log()
        assert eventually(lambda: not unfinished(self.engine), RECOVERY_SECONDS), (unfinished(self.engine), self._log())
        check_rows(self.engine, self.service.images_dir, check(clients, self.service.port, self.tally))
        assert self.service.workers() == workers, "a worker process was replaced"
        image_id = api.new()
        assert api.upload(image_id, b"data").status == 204
        assert api.delete(image_id).status == 204
        acknowledged = self.tally.total(ACKNOWLEDGED)
        assert acknowledged >= CLIENTS * OPERATIONS / 4, "the service did too little; the test proves little"
        assert acknowledged < sum(self.tally.tried.values()), "no operation was hit; the test proves nothing"

    def _work(self, outage: Outage) -> list[Client]:
        clients = [
            Client(number, self.service.port, self.tally, every_503_is_unknown=self.every_503_is_unknown)
            for number in range(CLIENTS)
        ]
        threads: list[threading.Thread] = [
            threading.Thread(target=client.run, args=(OPERATIONS, outage.ended), name=client.project, daemon=True)
            for client in clients
        ]
        threads.append(outage)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(500)
            assert not thread.is_alive(), f"{thread.name} does not end"
        assert outage.failure is None, outage.failure
        assert not self.tally.failures, ("\n".join(self.tally.failures), self._log())
        return clients

    def _log(self) -> str:
        return self.service.log[-4000:]


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def rig(request: pytest.FixtureRequest) -> Iterator[DatabaseRig]:
    """A server that nobody else uses."""
    with DatabaseRig(request.param, f"drill-{request.param[:2]}") as server:
        yield server


@pytest.fixture
def url(rig: DatabaseRig) -> str:
    """An empty database on it."""
    return rig.database("drill")


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    made = connect(DatabaseSettings(connection=Secret(url)))
    yield made
    made.dispose()


def own_options(place: Path) -> dict[str, dict[str, object]]:
    """What every service of the drill has."""
    return {
        "glimpse": {"auth": "headers", "lease_time": LEASE, "lease_heartbeat": 0.5},
        "glance_store": {"filesystem_store_datadir": place / "data" / "images"},
    }


@pytest.mark.timeout(900)
def test_the_database_is_killed_under_load(
    rig: DatabaseRig, url: str, engine: sa.Engine, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    options = {**own_options(tmp_path), "database": {"connection": url}}
    with Service(tmp_path, options=options, workers=2) as service:
        drill = Drill(service, engine)
        drill.run(Outage(rig.kill, rig.up, seed=1))
    record_property("report", drill.tally.table(f"Kill drill: {KILLS} kills of {rig.kind} under {CLIENTS} clients"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rig", ["postgresql"], indirect=True)
def test_the_registry_is_killed_under_load(
    url: str, engine: sa.Engine, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with RegistryService(tmp_path / "registry", options={"database": {"connection": url}}) as registry:
        own, theirs = own_options(tmp_path / "node"), registry.node_options()
        options = {**own, **theirs, "glimpse": {**own["glimpse"], **theirs["glimpse"]}}
        with Service(tmp_path / "node", options=options, workers=2) as service:
            drill = Drill(service, engine, every_503_is_unknown=True)
            drill.run(Outage(registry.kill_group, registry.start, seed=2))
    record_property("report", drill.tally.table(f"Kill drill: {KILLS} kills of a registry under {CLIENTS} clients"))
