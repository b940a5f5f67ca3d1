"""``glimpse serve`` from its first start to its end."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.footprint import assert_untouched, eventually, rows, stored_files
from tests.support.images import noise
from tests.support.raw_http import OCTETS, Api, RawConnection
from tests.support.service import HOST, Service, free_port, run_to_the_end, write_options
from tests.system.conftest import StartService

DATA = noise(4_000_000, "start and stop")
LENGTH = {**OCTETS, "Content-Length": len(DATA)}


def begin_upload(service: Service, image_id: str) -> RawConnection:
    """Send the first half of ``DATA`` and wait until the service has begun to take it."""
    connection = RawConnection(service.port)
    connection.head("PUT", f"/v2/images/{image_id}/file", LENGTH)
    connection.send(DATA[: len(DATA) // 2])
    api = Api(service.port)
    assert eventually(lambda: api.show(image_id)["status"] == "saving")
    return connection


def one_line(arguments: list[str], environment: dict[str, str] | None = None) -> str:
    """The only line that a start writes which must fail."""
    ended = run_to_the_end(["serve", *arguments], environment=environment)
    assert ended.returncode == 1, (ended.returncode, ended.stdout, ended.stderr)
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    return lines[0]


def test_the_first_start_makes_everything_and_the_second_finds_it(tmp_path: Path) -> None:
    service = Service(tmp_path)
    assert not service.data_dir.exists()
    with service:
        api = Api(service.port)
        assert api.call("GET", "/v2/images").json["images"] == []
        image_id = api.new(name="kept", tags=["tag"], os_distro="debian")
        assert api.upload(image_id, DATA).status == 204
        before = api.show(image_id)
        version = rows(service, "SELECT version_num FROM alembic_version")
    assert version == [("2024_1_contract01",)]
    with service:
        assert api.show(image_id) == before
        assert api.download(image_id).body == DATA
        assert rows(service, "SELECT version_num FROM alembic_version") == version
    assert "Traceback" not in service.log


def test_sigterm_lets_a_running_upload_end(start_service: StartService) -> None:
    service = start_service()
    api = Api(service.port)
    image_id = api.new()
    with begin_upload(service, image_id) as connection:
        service.signal(signal.SIGTERM)
        assert eventually(lambda: not accepts(service.port)), "new connections are still taken"
        time.sleep(0.5)
        connection.send(DATA[len(DATA) // 2 :])
        assert connection.answer("PUT").status == 204
    service.wait()
    service.start()
    assert api.show(image_id)["status"] == "active"
    assert api.download(image_id).body == DATA


def test_sigterm_lets_a_running_download_end(start_service: StartService) -> None:
    service = start_service()
    api = Api(service.port)
    data = noise(40_000_000, "drained")
    image_id = api.new()
    assert api.upload(image_id, data).status == 204
    with RawConnection(service.port, receive_buffer=65536) as connection:
        connection.head("GET", f"/v2/images/{image_id}/file")
        assert connection.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
        service.signal(signal.SIGTERM)
        assert eventually(lambda: not accepts(service.port)), "new connections are still taken"
        answer = connection.answer()
        assert answer.body == data
    service.wait()
    service.start()


def test_the_drain_has_a_limit_and_what_it_cuts_is_queued_again(start_service: StartService) -> None:
    options = {"glimpse": {"drain_time": 0.5, "lease_time": 1, "lease_heartbeat": 0.2}}
    service = start_service(options=options)
    api = Api(service.port)
    image_id = api.new()
    with begin_upload(service, image_id) as connection:
        service.signal(signal.SIGTERM)
        service.wait(expect=None, seconds=15)
        assert connection.is_closed_by_peer()
    service.start()
    assert_untouched(service, api, image_id)
    assert api.upload(image_id, DATA).status == 204


def test_a_second_sigterm_ends_the_wait(start_service: StartService) -> None:
    options = {"glimpse": {"lease_time": 1, "lease_heartbeat": 0.2}}
    service = start_service(options=options)
    api = Api(service.port)
    image_id = api.new()
    with begin_upload(service, image_id):
        service.signal(signal.SIGTERM)
        assert eventually(lambda: not accepts(service.port))
        assert processes.is_running(service.pid)
        service.signal(signal.SIGTERM)
        service.wait(expect=None, seconds=10)
    service.start()
    assert_untouched(service, api, image_id)


def test_sigint_ends_it_like_sigterm(start_service: StartService) -> None:
    service = start_service()
    service.signal(signal.SIGINT)
    service.wait()
    service.start()


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = one_line(["--data-dir", str(tmp_path / "data"), "--port", str(port)])
    assert str(port) in line


def test_two_services_cannot_share_a_port(start_service: StartService, tmp_path: Path) -> None:
    service = start_service()
    line = one_line(["--data-dir", str(tmp_path / "other"), "--port", str(service.port)])
    assert str(service.port) in line
    assert service.answers()


@pytest.mark.parametrize("data_dir", ["/proc/glimpse", "{file}/data"])
def test_an_unusable_data_directory_is_one_line(tmp_path: Path, data_dir: str) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    path = data_dir.format(file=file)
    assert path in one_line(["--data-dir", path, "--port", str(free_port())])


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("DEFAULT", "workers", "many"),
        ("DEFAULT", "bind_port", "99999"),
        ("glimpse", "auth", "maybe"),
        ("database", "connection", "nonsense"),
        ("DEFAULT", "enabled_backends", "fast:unheard-of"),
    ],
)
def test_a_broken_option_is_one_line_that_names_it(tmp_path: Path, section: str, name: str, value: str) -> None:
    place = write_options(tmp_path / "glimpse.conf", {section: {name: value}})
    arguments = ["--config-file", str(place), "--data-dir", str(tmp_path / "data")]
    if name != "bind_port":
        arguments += ["--port", str(free_port())]
    line = one_line(arguments)
    assert name in line or (name == "enabled_backends" and "fast" in line), line
    assert not (tmp_path / "data" / "glimpse.sqlite").exists()


def test_a_broken_option_in_the_environment_is_one_line_that_names_it(tmp_path: Path) -> None:
    line = one_line(["--data-dir", str(tmp_path / "data")], {"OS_DEFAULT__WORKERS": "many"})
    assert "OS_DEFAULT__WORKERS" in line


def test_a_missing_or_broken_configuration_file_is_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text("[DEFAULT\nworkers = 1\n")
    for path in (tmp_path / "missing.conf", broken):
        assert str(path) in one_line(["--config-file", str(path), "--data-dir", str(tmp_path / "data")])


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_listening_beyond_loopback_without_identity_is_refused(tmp_path: Path, address: str) -> None:
    line = one_line(["--data-dir", str(tmp_path / "data"), "--host", address, "--port", str(free_port())])
    assert address in line
    assert "auth" in line
    assert "basic" in line


def test_the_file_of_a_glance_installation_is_honoured(start_service: StartService, tmp_path: Path) -> None:
    port = free_port()
    images = tmp_path / "var" / "images"
    database = tmp_path / "var" / "glance.sqlite"
    images.mkdir(parents=True)
    service = start_service(
        port=port,
        from_options_only=True,
        options={
            "DEFAULT": {"bind_host": HOST, "bind_port": port, "workers": 2, "debug": True, "log_file": "api.log"}
            | {"log_dir": tmp_path, "limit_param_default": 7},
            "database": {"connection": f"sqlite:///{database}"},
            "glance_store": {"stores": "file,http", "default_store": "file", "filesystem_store_datadir": images},
            "oslo_concurrency": {"lock_path": "/var/lock/glance"},
        },
    )
    api = Api(port)
    assert len(service.workers()) == 2
    image_id = api.new()
    assert api.upload(image_id, DATA).status == 204
    assert (images / image_id).read_bytes() == DATA
    assert database.stat().st_size > 0
    for _ in range(8):
        api.new()
    assert len(api.call("GET", "/v2/images").json["images"]) == 7
    assert (tmp_path / "api.log").stat().st_size > 0


def test_later_files_beat_earlier_ones_and_the_command_line_beats_all(
    start_service: StartService, tmp_path: Path
) -> None:
    second = write_options(tmp_path / "second.conf", {"DEFAULT": {"limit_param_default": 3, "workers": 1}})
    service = start_service(
        options={"DEFAULT": {"limit_param_default": 5, "image_tag_quota": 2, "bind_port": 1}},
        arguments=["--config-file", str(second)],
        workers=2,
    )
    api = Api(service.port)
    for _ in range(4):
        api.new()
    assert len(api.call("GET", "/v2/images").json["images"]) == 3
    assert api.call("POST", "/v2/images", b'{"tags": ["1", "2", "3"]}').status == 413
    assert len(service.workers()) == 2


def test_a_worker_that_dies_is_replaced_and_requests_go_on(start_service: StartService) -> None:
    service = start_service(workers=2)
    api = Api(service.port)
    before = service.workers()
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    assert eventually(lambda: len(set(service.workers()) - set(before)) == 1, 15), service.log
    image_id = api.new()
    assert api.upload(image_id, DATA).status == 204
    for _ in range(20):
        assert api.show(image_id)["status"] == "active"


def test_two_workers_share_the_requests(start_service: StartService) -> None:
    service = start_service(workers=2)
    api = Api(service.port)
    idle = {pid: processor_ticks(pid) for pid in service.workers()}
    assert len(idle) == 2
    # connections that stay open: each belongs to the worker that took it
    connections = [api.connect() for _ in range(32)]
    for _ in range(20):
        for connection in connections:
            connection.request("GET", "/v2/images?limit=1")
            response = connection.getresponse()
            assert response.status == 200
            response.read()
    for connection in connections:
        connection.close()
    assert all(processor_ticks(pid) > ticks for pid, ticks in idle.items())


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_uvicorn_serves_the_same(start_service: StartService, workers: int) -> None:
    service = start_service(options={"glimpse": {"server": "uvicorn"}}, workers=workers)
    api = Api(service.port)
    image_id = api.new()
    assert api.upload(image_id, iter([DATA[:1_000_000], DATA[1_000_000:]])).status == 204
    assert api.download(image_id).body == DATA
    assert api.download(image_id, {"Range": "bytes=5-9"}).body == DATA[5:10]
    broken = api.new()
    with begin_upload(service, broken):
        pass
    assert_untouched(service, api, broken)
    with begin_upload(service, broken) as connection:
        service.signal(signal.SIGTERM)
        assert eventually(lambda: not accepts(service.port)), "new connections are still taken"
        connection.send(DATA[len(DATA) // 2 :])
        assert connection.answer("PUT").status == 204
    service.wait()
    service.start()
    assert api.download(broken).body == DATA
    assert stored_files(service) == {image_id, broken}


def test_the_health_check_does_not_wait_for_the_database(start_service: StartService) -> None:
    service = start_service()
    with closing(sqlite3.connect(service.database_file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with RawConnection(service.port) as waiting:
            waiting.head("POST", "/v2/images", {"Content-Length": 2})
            waiting.send(b"{}")
            for _ in range(5):
                assert service.answers()
            waiting.socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                waiting.socket.recv(1)
            other.execute("ROLLBACK")
            waiting.socket.settimeout(30)
            assert waiting.answer("POST").status == 201


def test_an_idle_worker_is_small(start_service: StartService) -> None:
    service = start_service(workers=2)
    Api(service.port).call("GET", "/v2/images")
    sizes = {pid: processes.resident_bytes(pid) for pid in service.workers()}
    print(
        f"first answer after {service.seconds_to_answer:.2f} s, workers {[size >> 20 for size in sizes.values()]} MiB"
    )
    assert len(sizes) == 2
    assert max(sizes.values()) <= 110 << 20


def accepts(port: int) -> bool:
    """Whether anybody takes connections on ``port``."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((HOST, port)) == 0


def processor_ticks(pid: int) -> int:
    """Clock ticks that a process has had so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
