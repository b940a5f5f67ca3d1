"""Imports of every method into stores of three kinds, while the service, its workers and the database are killed.

``GLIMPSE_DRILL_KILLS`` sets how many kills there are.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from statistics import median
from uuid import uuid4

import pytest
import sqlalchemy as sa

from glimpse.db.sql.engine import connect
from glimpse.settings.model import DatabaseSettings, Secret
from tests.interop.stores.backends import BACKENDS
from tests.support.database_rig import DatabaseRig
from tests.support.drill import identity
from tests.support.footprint import eventually
from tests.support.images.content import noise
from tests.support.raw_http import OCTETS, Answer, Api
from tests.support.service import Service
from tests.support.web_server import WebServer, serving

KILLS = int(os.environ.get("GLIMPSE_DRILL_KILLS", "6"))
#: Names of the stores, and their kinds.
STORES = {"a": "file", "b": "s3", "c": "rbd"}
LEASE = 2.0
#: Seconds in which imports that a kill interrupted must run again on any machine; the report has real times.
RESUMED = 60.0
#: Seconds until everything has come to its end after the last kill.
SETTLED = 240.0
#: Images of each method that are not settled at the same time.
AT_ONCE = 3
LOCK, LEFT = "os_glance_import_task", "os_glance_importing_to_stores"
METHODS = ("glance-direct", "web-download", "glance-download", "copy-image")

pytestmark = [pytest.mark.interop, pytest.mark.timeout(3600)]


@dataclass
class Tally:
    """What was done, and how it ended."""

    begun: Counter[str] = field(default_factory=Counter)
    active: Counter[str] = field(default_factory=Counter)
    returned: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    resumed: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def table(self) -> str:
        lines = [
            f"Import drill: {', '.join(f'{number} kills of {what}' for what, number in sorted(self.kills.items()))}"
        ]
        lines.append(f"{'method':16}{'begun':>7}{'in all stores':>15}{'back with a reason':>20}")
        lines += [f"{name:16}{self.begun[name]:>7}{self.active[name]:>15}{self.returned[name]:>20}" for name in METHODS]
        times = sorted(self.resumed)
        lines.append(
            f"{len(times)} interrupted imports ran again: the median {median(times):.1f} s after the kill, "
            f"99 of 100 within {times[len(times) * 99 // 100]:.1f} s, the last after {times[-1]:.1f} s"
        )
        lines += [f"{number} times: {reason}" for reason, number in self.reasons.most_common()]
        return "\n".join(lines)


class Importer(threading.Thread):
    """Begins imports by one method, and goes on until it is stopped."""

    def __init__(self, method: str, port: int, source: WebServer, tally: Tally, stopped: threading.Event) -> None:
        super().__init__(name=method, daemon=True)
        self.method = method
        self.images: dict[str, bytes] = {}
        self.failure: BaseException | None = None
        self._catalog = json.dumps(
            [{"type": "image", "endpoints": [{"region": "Two", "publicURL": f"http://localhost:{source.port}"}]}]
        )
        # only administrators may copy images between stores
        who = identity(method, "admin,member,reader")
        self._api = Api(port, who | {"X-Service-Catalog": self._catalog, "X-Auth-Token": "token"})
        self._source = source
        self._tally = tally
        self._stopped = stopped
        self._chance = random.Random(method)

    def run(self) -> None:
        try:
            for number in count():
                while len(self._unsettled()) >= AT_ONCE and not self._stopped.is_set():
                    time.sleep(0.2)
                if self._stopped.is_set():
                    return
                self._import(number)
        except BaseException as error:
            self.failure = error
            raise

    def _import(self, number: int) -> None:
        data = noise(self._chance.randrange(1_000_000, 7_000_000), f"{self.method} {number}")
        image_id = str(uuid4())
        if not self._until(lambda: self._api.call("POST", "/v2/images", self._record(image_id)), {201, 409}):
            return
        self._tally.begun[self.method] += 1
        self.images[image_id] = data
        path = f"/v2/images/{image_id}"
        method: dict[str, str] = {"name": self.method}
        place = "/file" if self.method == "copy-image" else "/stage"
        if self.method in {"copy-image", "glance-direct"}:
            self._until(lambda: self._put(image_id, path + place, data), {204})
        elif self.method == "web-download":
            self._source.files[image_id] = data
            method["uri"] = self._source.url("broken", image_id)
        else:
            source_id = str(uuid4())
            self._source.files[f"images/{source_id}/file"] = data
            self._source.files[f"images/{source_id}"] = json.dumps(_remote(data)).encode()
            method |= {"glance_region": "Two", "glance_image_id": source_id}
        self._source.breaks += self._chance.random() < 0.3
        must = self.method != "copy-image" and self._chance.random() < 0.5
        request = {"method": method, "all_stores": True, "all_stores_must_succeed": must}
        self._until(lambda: self._post(image_id, f"{path}/import", request), {202})

    def _record(self, image_id: str) -> bytes:
        fields = {"id": image_id, "name": self.method, "disk_format": "raw", "container_format": "bare"}
        return json.dumps(fields).encode()

    def _put(self, image_id: str, path: str, data: bytes) -> Answer:
        """Send data. A 409 counts as a 204 when they are there already, because the answer was lost."""
        answer = self._api.call("PUT", path, data, OCTETS)
        if answer.status != 409:
            return answer
        # an image without a size waits for the recovery of what was killed
        there = self._api.show(image_id)["size"] is not None
        return replace(answer, status=204 if there else 503)

    def _post(self, image_id: str, path: str, request: object) -> Answer:
        """Ask for the import. A 409 counts as a 202 when there is a task already."""
        answer = self._api.call("POST", path, json.dumps(request).encode())
        if answer.status != 409:
            return answer
        return replace(answer, status=202 if self.tasks(image_id) else 503)

    def _until(self, call: Callable[[], Answer], wanted: set[int]) -> bool:
        """Repeat a request until it was answered as wanted; False when there was no time left."""
        end = time.monotonic() + SETTLED
        while time.monotonic() < end:
            with suppress(OSError, http.client.HTTPException):
                answer = call()
                if answer.status in wanted:
                    return True
                assert answer.status == 503, (self.method, answer.status, answer.text)
            time.sleep(0.3)
        return False

    def _unsettled(self) -> list[str]:
        """Images that are still on their way, or cannot be asked for now."""
        found: list[str] = []
        for image_id in list(self.images)[-2 * AT_ONCE :]:
            try:
                shown = self._api.show(image_id)
            except (OSError, http.client.HTTPException, AssertionError):
                found.append(image_id)
            else:
                if LOCK in shown:
                    found.append(image_id)
        return found

    def show(self, image_id: str) -> dict[str, object]:
        return self._api.show(image_id)

    def tasks(self, image_id: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = self._api.call("GET", f"/v2/images/{image_id}/tasks").json["tasks"]
        return found

    def data(self, image_id: str, store: str) -> bytes:
        return self._api.call("GET", f"/v2/images/{image_id}/file?prefer={store}").body


def _remote(data: bytes) -> dict[str, object]:
    """The record of an image at another service."""
    return {
        "status": "active", "disk_format": "raw", "container_format": "bare", "size": len(data),
        "os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(data).hexdigest(), "hw_disk_bus": "virtio",
    }  # fmt: skip


@pytest.fixture
def rig() -> Iterator[DatabaseRig]:
    """A PostgreSQL that nobody else uses."""
    with DatabaseRig("postgresql", "import-drill") as server:
        yield server


@pytest.fixture
def engine(rig: DatabaseRig) -> Iterator[sa.Engine]:
    made = connect(DatabaseSettings(connection=Secret(rig.database("drill"))))
    yield made
    made.dispose()


def _running(engine: sa.Engine) -> dict[str, int]:
    """Imports that a process has claimed, with the number of the claim."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id, generation FROM glimpse_jobs WHERE type = 'api_image_import' AND status = 'running'"
        )
        return {row[0]: row[1] for row in rows}


def _kill_service(service: Service, engine: sa.Engine, chance: random.Random, tally: Tally) -> None:
    """Kill the service, or one of its workers, and see that what it did goes on."""
    interrupted = _running(engine)
    began = time.monotonic()
    if chance.random() < 0.5:
        tally.kills["the service"] += 1
        service.kill_group()
        service.start()
    else:
        tally.kills["a worker"] += 1
        with suppress(ProcessLookupError):
            os.kill(chance.choice(service.workers()), signal.SIGKILL)
    # those of a worker that lives go on without a new claim
    before = {job for job, generation in interrupted.items() if _running(engine).get(job) == generation}
    while before and time.monotonic() - began < RESUMED:
        time.sleep(0.1)
        now = _running(engine)
        gone = {job for job in before if now.get(job) != interrupted[job]}
        tally.resumed += [time.monotonic() - began] * len(gone)
        before -= gone
    assert not before, f"{len(before)} imports do not go on"


def _settled(importers: list[Importer], engine: sa.Engine) -> bool:
    with engine.connect() as connection:
        unended = connection.exec_driver_sql("SELECT count(*) FROM glimpse_jobs WHERE ended_at IS NULL").scalar_one()
    return not unended and all(LOCK not in one.show(image_id) for one in importers for image_id in one.images)


def test_imports_always_end(
    rig: DatabaseRig, engine: sa.Engine, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance, tally, stopped = random.Random(7), Tally(), threading.Event()
    backends = {name: BACKENDS[kind] for name, kind in STORES.items()}
    for backend in backends.values():
        backend.available()
    (tmp_path / "a").mkdir()
    url = engine.url.render_as_string(hide_password=False)
    options: dict[str, dict[str, object]] = {
        "DEFAULT": {
            "enabled_backends": ",".join(f"{name}:{backend.kind}" for name, backend in backends.items()),
            "enabled_import_methods": f"[{','.join(METHODS)}]",
        },
        "database": {"connection": url},
        "glance_store": {"default_backend": "a"},
        "glimpse": {
            "auth": "headers", "lease_time": LEASE, "lease_heartbeat": 0.3, "job_interval": 0.3, "job_threads": 4,
        },
        "import_filtering_opts": {"allowed_hosts": "[localhost]", "allowed_ports": "[]"},
        "os_glance_staging_store": {"filesystem_store_datadir": tmp_path / "staging"},
        **{name: dict(backend.options(tmp_path / "a")) for name, backend in backends.items()},
    }  # fmt: skip
    with serving() as source, Service(tmp_path / "node", options=options, workers=2) as service:
        importers = [Importer(method, service.port, source, tally, stopped) for method in METHODS]
        for importer in importers:
            importer.start()
        for number in range(1, KILLS + 1):
            time.sleep(chance.uniform(0.3, 2.5))
            if number % 6:
                _kill_service(service, engine, chance, tally)
            else:
                tally.kills["the database"] += 1
                rig.kill()
                rig.up()
                # this test's own connections are gone too
                engine.dispose()
        stopped.set()
        for importer in importers:
            importer.join(SETTLED + 60)
            assert not importer.is_alive(), importer.name
            assert importer.failure is None, (importer.failure, service.log[-4000:])
        assert eventually(lambda: _settled(importers, engine), SETTLED), service.log[-6000:]
        for importer in importers:
            for image_id, data in importer.images.items():
                reason = _verify(
                    importer, image_id, data, {name: backend.found for name, backend in backends.items()}, tmp_path
                )
                (tally.active if reason is None else tally.returned)[importer.method] += 1
                if reason is not None:
                    tally.reasons[f"{importer.method}: {reason}"] += 1
        assert [path for path in (tmp_path / "staging").rglob("*") if path.is_file()] == _staged(tmp_path, importers)
    report = tally.table()
    record_property("report", report)
    assert all(tally.active[method] for method in METHODS), report


def _staged(tmp_path: Path, importers: list[Importer]) -> list[Path]:
    """The staged files of images that may be imported again."""
    return [
        path
        for one in importers
        for image_id in one.images
        if one.show(image_id)["status"] == "uploading"
        for path in (tmp_path / "staging").rglob(f"*{image_id}*")
    ]


def _verify(
    importer: Importer,
    image_id: str,
    data: bytes,
    found: dict[str, Callable[[Path, str], list[str]]],
    tmp_path: Path,
) -> str | None:
    """An image is whole in all stores that it names, and in no other; return the reason if these are not all."""
    shown = importer.show(image_id)
    stores = sorted(filter(None, str(shown.get("stores", "")).split(",")))
    there = [name for name, look in found.items() if look(tmp_path / "a", image_id)]
    assert there == stores, (shown, there)
    assert LOCK not in shown
    assert shown.get(LEFT, "") == "", shown
    if stores:
        assert (shown["status"], shown["size"]) == ("active", len(data)), shown
        for store in stores:
            assert importer.data(image_id, store) == data, (store, shown)
    else:
        assert shown["status"] in {"queued", "uploading"}, shown
    if stores == sorted(STORES):
        return None
    tasks = importer.tasks(image_id)
    if not tasks:
        return "the import was not accepted before the end"
    assert tasks[0]["message"], (shown, tasks)
    return str(tasks[0]["message"])
