"""``kill -9`` at any moment loses nothing and leaves nothing stuck (ARCHITECTURE.md, Data safety, rule 4)."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.support.footprint import assert_store_holds, eventually, leases, live_locations, rows
from tests.support.images import noise
from tests.support.raw_http import OCTETS, Api
from tests.support.service import Service
from tests.system.conftest import StartService

LEASE = {"lease_time": 3, "lease_heartbeat": 0.5}
FAILED = "os_glance_failed_upload"
PART = 64 << 10
RECOVERY_SECONDS = 20.0


@dataclass
class Upload:
    """One image, what is sent for it, and what came of it: a status, or None when the connection broke."""

    image_id: str
    data: bytes
    seconds: float
    chunked: bool
    status: int | None = None
    told: str = ""
    began: bool = False
    thread: threading.Thread = field(init=False)

    def run(self, port: int, delay: float) -> None:
        """Send the data evenly over ``seconds``, after ``delay``."""
        self.thread = threading.Thread(target=self._send, args=(port, delay), name=self.image_id, daemon=True)
        self.thread.start()

    def _send(self, port: int, delay: float) -> None:
        time.sleep(delay)
        self.began = True
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = dict(OCTETS) if self.chunked else {**OCTETS, "Content-Length": str(len(self.data))}
        path = f"/v2/images/{self.image_id}/file"
        try:
            connection.request("PUT", path, self._parts(), headers, encode_chunked=self.chunked)
            response = connection.getresponse()
            self.told = response.read().decode()
            self.status = response.status
        except (OSError, http.client.HTTPException):
            self.status = None
        finally:
            connection.close()

    def _parts(self) -> Iterator[bytes]:
        parts = max(1, len(self.data) // PART)
        started = time.monotonic()
        for number in range(0, len(self.data), PART):
            yield self.data[number : number + PART]
            ahead = started + self.seconds * (number // PART) / parts - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)


def prepare(api: Api, chance: random.Random, count: int, largest: int, seconds: float) -> list[Upload]:
    """Images with content of random sizes from 1 MB up, to be sent at random speeds, half of them in chunks."""
    return [
        Upload(
            image_id=api.new(name=f"image {number}", os_distro="debian"),
            data=noise(chance.randrange(1_000_000, largest), f"{number}"),
            seconds=chance.uniform(0.05, 0.6) * seconds,
            chunked=number % 2 == 0,
        )
        for number in range(count)
    ]


def wait_for_recovery(service: Service) -> None:
    """Nothing is under way any more, and no operation is recorded as unfinished."""

    def settled() -> bool:
        return not leases(service) and rows(service, "SELECT id FROM images WHERE status = 'saving'") == []

    assert eventually(settled, RECOVERY_SECONDS), (leases(service), service.log[-3000:])


def check(
    service: Service, api: Api, uploads: list[Upload], statuses: tuple[int | None, ...] = (None, 204)
) -> set[str]:
    """Every image is active and intact, or queued and clean; returns the ids of the active ones.

    ``statuses`` are what uploads may have been answered.
    """
    active: set[str] = set()
    other = {(upload.status, upload.told) for upload in uploads if upload.status not in statuses}
    assert not other, (other, service.log[-6000:])
    for upload in uploads:
        shown = api.show(upload.image_id)
        assert shown["status"] in {"active", "queued"}, shown
        assert shown["os_distro"] == "debian"
        if shown["status"] == "active":
            assert_intact(api, upload)
            active.add(upload.image_id)
        else:
            assert upload.status != 204, "an upload was confirmed and is lost"
            assert_clean(service, api, upload)
    assert_store_holds(service, active)
    assert sorted(url.rsplit("/", 1)[1] for url in live_locations(service)) == sorted(active)
    return active


def assert_intact(api: Api, upload: Upload) -> None:
    shown = api.show(upload.image_id)
    assert shown["size"] == len(upload.data)
    assert shown["os_hash_value"] == hashlib.sha512(upload.data).hexdigest()
    assert FAILED not in shown
    assert api.download(upload.image_id).body == upload.data


def assert_clean(service: Service, api: Api, upload: Upload) -> None:
    shown = api.show(upload.image_id)
    for name in ("size", "checksum", "os_hash_algo", "os_hash_value", "virtual_size"):
        assert shown[name] is None
    assert live_locations(service, upload.image_id) == []
    assert api.download(upload.image_id).status == 204
    if FAILED in shown:
        assert "again" in shown[FAILED]
        assert upload.began


def upload_again(api: Api, uploads: list[Upload]) -> None:
    """What is queued now takes its data as if nothing had happened."""
    for upload in uploads:
        if api.show(upload.image_id)["status"] == "queued":
            assert api.upload(upload.image_id, upload.data).status == 204
            assert_intact(api, upload)


def kill_workers(service: Service, chance: random.Random, times: int, pause: tuple[float, float]) -> int:
    """SIGKILL a random worker several times, at random moments; returns how many were hit."""
    hit = 0
    for _ in range(times):
        time.sleep(chance.uniform(*pause))
        workers = [pid for pid in service.workers() if pid != service.pid]
        if workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
            hit += 1
    return hit


def survive_killed_workers(start_service: StartService, seed: int, *, largest: int, seconds: float, kills: int) -> None:
    chance = random.Random(seed)
    service = start_service(f"seed-{seed}", options={"glimpse": LEASE}, workers=2)
    api = Api(service.port)
    uploads = prepare(api, chance, 20, largest, seconds)
    for upload in uploads:
        upload.run(service.port, chance.uniform(0, 0.7 * seconds))
    assert kill_workers(service, chance, kills, (0.5, 1.5 * seconds / kills)) == kills
    for upload in uploads:
        upload.thread.join(60)
        assert not upload.thread.is_alive()
    wait_for_recovery(service)
    active = check(service, api, uploads)
    assert active, "no upload came through; the test proves little"
    interrupted = sum(FAILED in api.show(upload.image_id) for upload in uploads)
    print(f"seed {seed}: {len(active)} active, {interrupted} say they were interrupted")
    upload_again(api, uploads)
    assert_store_holds(service, {upload.image_id for upload in uploads})
    assert interrupted > 0, "no upload was hit; the test proves nothing"


def test_workers_killed_during_20_uploads(start_service: StartService) -> None:
    survive_killed_workers(start_service, 1, largest=4_000_000, seconds=4, kills=3)


@pytest.mark.heavy
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_workers_killed_during_20_large_uploads(start_service: StartService, seed: int) -> None:
    survive_killed_workers(start_service, seed, largest=40_000_000, seconds=12, kills=4)


@pytest.mark.heavy
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [6, 7])
def test_workers_killed_in_a_stream_of_small_uploads(start_service: StartService, seed: int) -> None:
    """So many uploads end all the time that the kills also hit between the store's commit and the activation."""
    chance = random.Random(seed)
    service = start_service(options={"glimpse": LEASE}, workers=2)
    api = Api(service.port)
    uploads: list[Upload] = []
    stopped = threading.Event()

    def stream(name: int) -> None:
        data = noise(100_000 + name, f"stream {name}")
        while not stopped.is_set():
            with suppress(OSError, http.client.HTTPException):
                upload = Upload(api.new(os_distro="debian"), data, seconds=0, chunked=name % 2 == 0)
                uploads.append(upload)
                upload.run(service.port, 0)
                upload.thread.join(60)

    threads = [threading.Thread(target=stream, args=(name,), daemon=True) for name in range(6)]
    for thread in threads:
        thread.start()
    kills = kill_workers(service, chance, 12, (0.3, 1.5))
    stopped.set()
    for thread in threads:
        thread.join(90)
    wait_for_recovery(service)
    active = check(service, api, uploads)
    print(f"seed {seed}: {kills} kills, {len(active)} of {len(uploads)} uploads active")
    assert 0 < len(active) < len(uploads)
    upload_again(api, uploads)
    assert_store_holds(service, {upload.image_id for upload in uploads})


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.heavy), 2])
def test_everything_killed_and_started_again(start_service: StartService, workers: int) -> None:
    chance = random.Random(7 + workers)
    service = start_service(options={"glimpse": LEASE}, workers=workers)
    api = Api(service.port)
    uploads = prepare(api, chance, 8, 3_000_000, 3)
    for upload in uploads:
        upload.run(service.port, chance.uniform(0, 1))
    time.sleep(1.2)
    service.kill_group()
    for upload in uploads:
        upload.thread.join(30)
    before = len(leases(service))
    assert before > 0, "no upload was hit; the test proves nothing"
    service.start()
    wait_for_recovery(service)
    check(service, api, uploads)
    upload_again(api, uploads)
    assert_store_holds(service, {upload.image_id for upload in uploads})


def test_deletions_and_uploads_killed_together(start_service: StartService) -> None:
    """A deletion that was begun is carried out; one that was not leaves its image whole."""
    chance = random.Random(11)
    service = start_service(options={"glimpse": LEASE}, workers=2)
    api = Api(service.port)
    uploads = prepare(api, chance, 24, 1_200_000, 0.1)
    for upload in uploads:
        assert api.upload(upload.image_id, upload.data).status == 204
    answers: dict[str, int] = {}

    def remove(upload: Upload) -> None:
        with suppress(OSError, http.client.HTTPException):
            answers[upload.image_id] = api.delete(upload.image_id).status

    threads = [threading.Thread(target=remove, args=(upload,), daemon=True) for upload in uploads]
    for thread in threads[:12]:
        thread.start()
    for pid in service.workers():
        os.kill(pid, signal.SIGKILL)
    for thread in threads[12:]:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert eventually(service.answers, 15), service.log
    wait_for_recovery(service)
    remaining: set[str] = set()
    for upload in uploads:
        if api.call("GET", f"/v2/images/{upload.image_id}").status == 200:
            assert answers.get(upload.image_id) != 204, "a deletion was confirmed and did not happen"
            assert_intact(api, upload)
            remaining.add(upload.image_id)
    assert_store_holds(service, remaining)
    for image_id in remaining:
        assert api.delete(image_id).status == 204
    assert_store_holds(service, set())


def test_an_upload_may_take_longer_than_its_lease(start_service: StartService) -> None:
    service = start_service(options={"glimpse": {"lease_time": 3, "lease_heartbeat": 0.3}}, workers=2)
    api = Api(service.port)
    uploads = prepare(api, random.Random(17), 4, 2_000_000, 3)
    for upload in uploads:
        upload.seconds = 5
        upload.run(service.port, 0)
    for upload in uploads:
        upload.thread.join(30)
        assert upload.status == 204, upload.told
    assert len(check(service, api, uploads)) == 4


def test_a_stopped_worker_that_wakes_up_late_changes_nothing(start_service: StartService) -> None:
    """A worker that sleeps longer than its lease finds that another took its upload over (fencing)."""
    service = start_service(options={"glimpse": {"lease_time": 1, "lease_heartbeat": 0.2}}, workers=2)
    api = Api(service.port)
    upload = prepare(api, random.Random(13), 1, 3_000_000, 2)[0]
    upload.run(service.port, 0)
    assert eventually(lambda: api.show(upload.image_id)["status"] == "saving")
    holder = int(rows(service, "SELECT claimed_by FROM glimpse_jobs WHERE due_at IS NOT NULL")[0][0].split(":")[1])
    os.kill(holder, signal.SIGSTOP)
    try:
        reached = eventually(
            lambda: rows(service, "SELECT status FROM images WHERE id = ?", upload.image_id) == [("queued",)], 15
        )
    finally:
        os.kill(holder, signal.SIGCONT)
    assert reached, leases(service)
    upload.thread.join(60)
    assert eventually(lambda: leases(service) == [])
    check(service, api, [upload], statuses=(410,))
    upload_again(api, [upload])
