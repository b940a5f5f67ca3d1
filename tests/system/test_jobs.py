"""Jobs survive ``kill -9`` of the process that runs them, and can run in separate processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from glimpse.db.records import Viewer
from glimpse.db.sql.factory import open_database
from glimpse.settings.model import DatabaseSettings, Secret
from tests.contract.db.examples import OVER, removal_job
from tests.support.footprint import eventually, rows, stored_files
from tests.support.images.content import noise
from tests.support.raw_http import Api
from tests.support.service import Service, clean_environment, run_to_the_end, script
from tests.support.web_server import WebServer, serving
from tests.system.conftest import StartService

DATA = noise(2_000_000)
LOCK = "os_glance_import_task"
SHA512 = hashlib.sha512(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()

OPTIONS: dict[str, dict[str, object]] = {
    "glimpse": {"lease_time": 2, "lease_heartbeat": 0.3, "job_interval": 0.2},
    "DEFAULT": {"show_multiple_locations": True},
    "import_filtering_opts": {"allowed_hosts": "[localhost]", "allowed_ports": "[]"},
}


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A server that takes some seconds for :data:`DATA`."""
    with serving() as made:
        made.files["a"] = DATA
        made.slow_part, made.pause = 100_000, 0.15
        yield made


def add_location(api: Api, url: str, **validation_data: str) -> str:
    image_id = api.new(name="before")
    body = json.dumps({"url": url, "validation_data": validation_data}).encode()
    answer = api.call("POST", f"/v2/images/{image_id}/locations", body)
    assert answer.status == 202, answer.text
    return image_id


def job(service: Service) -> dict[str, Any]:
    """The only job, as the operator sees it."""
    listed = run_to_the_end(("jobs", "list", "--json", "--data-dir", str(service.data_dir)))
    assert listed.returncode == 0, listed.stderr
    [found] = json.loads(listed.stdout)
    return found


def reads(web: WebServer) -> int:
    return sum(method == "GET" for method, *_ in web.requests)


def holder(service: Service) -> int:
    """The process that runs the job; 0 when none does."""
    [(name,)] = rows(service, "SELECT claimed_by FROM glimpse_jobs")
    return int(name.split(":")[1]) if name else 0


def test_hashing_survives_killed_workers(start_service: StartService, web: WebServer) -> None:
    service = start_service(options=OPTIONS, workers=2)
    api = Api(service.port)
    image_id = add_location(api, web.url("slow", "a"))
    for number in range(1, 3):
        assert eventually(lambda number=number: reads(web) == number and holder(service) != 0, 20), service.log
        shown = api.show(image_id)
        assert (shown["status"], shown["os_hash_algo"], shown["os_hash_value"]) == ("active", "sha512", None)
        killed = holder(service)
        os.kill(killed, signal.SIGKILL)
        # what its owner does meanwhile stays
        assert eventually(lambda killed=killed: holder(service) != killed, 20), service.log
        assert api.patch(image_id, [{"op": "add", "path": f"/p{number}", "value": "v"}]).status == 200
    assert api.patch(image_id, [{"op": "replace", "path": "/name", "value": "after"}]).status == 200
    assert eventually(lambda: LOCK not in api.show(image_id), 40), service.log
    shown = api.show(image_id)
    assert (shown["status"], shown["os_hash_value"], shown["checksum"]) == ("active", SHA512, MD5)
    assert (shown["name"], shown["p1"], shown["p2"]) == ("after", "v", "v")
    assert [one["url"] for one in shown["locations"]] == [web.url("slow", "a")]
    assert (job(service)["status"], job(service)["attempt"]) == ("succeeded", 3)
    # its data are served once a job has compared them with the digest of the image
    assert eventually(lambda: api.download(image_id).body == DATA, 20), service.log


def test_everything_killed_while_a_digest_is_verified(start_service: StartService, web: WebServer) -> None:
    service = start_service(options=OPTIONS)
    api = Api(service.port)
    image_id = add_location(api, web.url("slow", "a"), os_hash_algo="sha512", os_hash_value="0" * 128)
    assert eventually(lambda: reads(web) == 1)
    assert api.show(image_id)["status"] == "importing"
    service.kill_group()
    service.start()
    assert eventually(lambda: api.show(image_id)["status"] == "queued", 40), service.log
    shown = api.show(image_id)
    assert (shown["size"], shown["os_hash_value"], shown["checksum"]) == (None, None, None)
    assert LOCK not in shown
    assert job(service)["status"] == "failed"
    assert api.upload(image_id, b"good data").status == 204
    assert [one["url"].split(":")[0] for one in api.show(image_id)["locations"]] == ["file"]


def test_an_orderly_end_gives_the_job_back(start_service: StartService, web: WebServer) -> None:
    service = start_service(options=OPTIONS)
    api = Api(service.port)
    image_id = add_location(api, web.url("slow", "a"))
    assert eventually(lambda: reads(web) == 1)
    service.stop()
    found = job(service)
    assert (found["status"], found["attempt"], found["claimed_by"]) == ("pending", 0, None)
    service.start()
    assert eventually(lambda: api.show(image_id).get("os_hash_value") == SHA512, 40), service.log


@contextmanager
def worker(service: Service) -> Iterator[subprocess.Popen[bytes]]:
    """A ``glimpse worker`` beside a service, on its configuration."""
    command = [
        str(script()), "worker", "--config-file", str(service.config_file), "--data-dir", str(service.data_dir),
    ]  # fmt: skip
    with (service.place / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(), start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def worker_log(service: Service) -> str:
    return Path(service.place / "worker.log").read_text()


def test_workers_apart_from_the_service(start_service: StartService, web: WebServer) -> None:
    options = {**OPTIONS, "glimpse": {**OPTIONS["glimpse"], "job_threads": 0}}
    service = start_service(options=options)
    api = Api(service.port)
    image_id = add_location(api, web.url("slow", "a"))
    with worker(service) as first:
        assert eventually(lambda: reads(web) == 1, 20), worker_log(service)
        assert holder(service) == first.pid
        first.kill()
        first.wait()
    # the service itself runs none
    assert not eventually(lambda: holder(service) != first.pid, 4)
    assert api.show(image_id)["os_hash_value"] is None
    with worker(service) as second:
        assert eventually(lambda: api.show(image_id)["os_hash_value"] == SHA512, 40), worker_log(service)
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0, worker_log(service)
    assert "Traceback" not in worker_log(service)
    assert job(service)["attempt"] == 2


def test_a_worker_recovers_uploads_of_dead_processes(start_service: StartService) -> None:
    service = start_service(options=OPTIONS)
    api = Api(service.port)
    image_id = api.new()
    with socket.create_connection(("127.0.0.1", service.port)) as sender:
        head = f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
        sender.sendall(head.encode() + b"Content-Length: 4000000\r\n\r\n" + bytes(2_000_000))
        assert eventually(lambda: api.show(image_id)["status"] == "saving")
        service.kill_group()
    with worker(service):
        statement = "SELECT status FROM images WHERE id = ?"
        assert eventually(lambda: rows(service, statement, image_id) == [("queued",)], 20), worker_log(service)
    service.start()
    assert "again" in api.show(image_id)["os_glance_failed_upload"]


def test_locations_that_were_being_removed(start_service: StartService, web: WebServer) -> None:
    """The database says that a location is being removed and its process is dead: another removes the data."""
    service = start_service(options=OPTIONS)
    api = Api(service.port)
    image_id = api.new()
    assert api.upload(image_id, DATA).status == 204
    added = {"op": "add", "path": "/locations/-", "value": {"url": web.url("files", "a"), "metadata": {}}}
    assert api.patch(image_id, [added]).status == 200
    service.kill_group()
    database = open_database(DatabaseSettings(connection=Secret(f"sqlite:///{service.database_file}")))
    image = database.get_image(image_id, Viewer(None, is_admin=True))
    stored = next(one for one in image.locations if one.url.startswith("file:"))
    database.begin_location_removal(removal_job(image_id, stored.url, stored.id, stores=()), OVER, stored.id or 0)
    database.close()
    service.start()
    assert eventually(lambda: not stored_files(service), 20), service.log
    assert eventually(
        lambda: rows(service, "SELECT * FROM glimpse_jobs WHERE type = 'copy_removal' AND ended_at IS NULL") == []
    )
    assert [one["url"] for one in api.show(image_id)["locations"]] == [web.url("files", "a")]
    # its data are served once a job has compared them with the digest of the image
    assert eventually(lambda: api.download(image_id).body == DATA, 20), service.log
