"""The launcher with real processes, and the facts about both HTTP servers on which Glimpse relies."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from glimpse.launcher import LaunchError, ServeOptions, serve
from tests.system.launcher_service import Launched, eventually, read_all, request, resident_mib

pytestmark = [pytest.mark.system, pytest.mark.timeout(30)]

Launch = Callable[..., Launched]

HALF = b"h" * 50_000
WHOLE = ("PUT", "/upload", f"Content-Length: {2 * len(HALF)}")
CHUNKED = ("PUT", "/upload", "Transfer-Encoding: chunked")


@pytest.fixture(params=["granian", "uvicorn"])
def server(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


@pytest.fixture
def launch(server: str, tmp_path: Path) -> Iterator[Launch]:
    """Start services of the server under test; they are ended with the test."""
    with ExitStack() as stack:

        def start(**settings: object) -> Launched:
            place = tmp_path / str(len(list(tmp_path.iterdir())))
            place.mkdir()
            return stack.enter_context(Launched(place, **{"server": server, **settings}))

        yield start


def half_an_upload(service: Launched) -> socket.socket:
    """Begin an upload, and wait until the application reads it."""
    connection = service.connect()
    connection.sendall(request(*WHOLE) + HALF)
    service.event("upload begins")
    return connection


def workers_seen(service: Launched, count: int) -> set[int]:
    """Ask until so many workers have answered."""
    seen: set[int] = set()
    eventually(lambda: len(seen.add(service.worker_pid()) or seen) >= count)
    return seen


# --- starting and stopping ---


def test_two_workers_share_the_port_and_only_they_load_the_application(launch: Launch) -> None:
    service = launch(workers=2).ready()
    assert service.get("/pid")["greeting"] == "hello"
    workers = workers_seen(service, 2)
    assert {event["pid"] for event in service.events("load")} == workers
    assert {event["pid"] for event in service.events("startup")} == workers
    assert [event["pid"] for event in service.events("in parent")] == [service.process.pid]
    service.signal()
    assert service.wait() == 0
    assert {event["pid"] for event in service.events("shutdown")} == workers


def test_a_stop_lets_a_running_upload_end(launch: Launch) -> None:
    service = launch(workers=2).ready()
    with half_an_upload(service) as upload, service.connect() as idle:
        service.signal()
        eventually(service.refuses)
        assert idle.recv(1) == b"", "an idle connection is closed"
        assert service.process.poll() is None
        upload.sendall(HALF)
        assert read_all(upload).endswith(b'{"total": 100000}')
    assert service.wait() == 0
    assert service.event("upload ends")["end"] == "http.request"
    assert len(service.events("shutdown")) == 2


def test_ctrl_c_reaches_the_whole_group_and_still_drains(launch: Launch) -> None:
    service = launch().ready()
    with half_an_upload(service) as upload:
        os.killpg(service.process.pid, signal.SIGINT)
        eventually(service.refuses)
        upload.sendall(HALF)
        assert read_all(upload).endswith(b'{"total": 100000}')
    assert service.wait() == 0


def test_connections_that_come_while_it_stops_do_not_hold_it_up(launch: Launch) -> None:
    service = launch(drain_seconds=5).ready()
    opened: list[socket.socket] = []
    opening = threading.Thread(target=connect_until_refused, args=(service, opened))
    opening.start()
    eventually(lambda: len(opened) > 50)
    service.signal()
    assert service.wait() == 0
    opening.join()
    for connection in opened:
        connection.close()


def connect_until_refused(service: Launched, opened: list[socket.socket]) -> None:
    with suppress(OSError):
        while True:
            opened.append(service.connect())
            time.sleep(0.0003)


def test_a_request_whose_client_has_left_ends_before_the_worker(launch: Launch) -> None:
    service = launch().ready()
    with service.connect() as connection:
        connection.sendall(request("GET", "/cleanup"))
        service.event("cleanup begins")
    service.event("client left")
    service.signal()
    assert service.wait() == 0
    assert service.events("cleanup ends")


def test_the_time_to_drain_is_a_limit(launch: Launch) -> None:
    service = launch(drain_seconds=0.5).ready()
    with half_an_upload(service):
        began = time.monotonic()
        service.signal()
        assert service.wait() == 1
        assert time.monotonic() - began >= 0.5
    assert "the drain time is over" in service.log
    assert not service.events("upload ends")


def test_a_second_signal_ends_at_once(launch: Launch) -> None:
    service = launch(drain_seconds=3600).ready()
    with half_an_upload(service):
        service.signal()
        eventually(service.refuses)
        service.signal()
        assert service.wait() == 1
    assert "second signal" in service.log


def test_workers_end_when_the_parent_is_killed(launch: Launch) -> None:
    service = launch(workers=2).ready()
    workers = workers_seen(service, 2)
    with half_an_upload(service) as upload:
        service.process.kill()
        eventually(service.refuses)
        upload.sendall(HALF)
        assert read_all(upload).endswith(b'{"total": 100000}')
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


# --- deaths ---


def test_a_worker_killed_again_and_again_is_replaced_without_a_refused_connection(launch: Launch) -> None:
    service = launch().ready()
    pids = [service.worker_pid()]
    for _ in range(6):
        os.kill(pids[-1], signal.SIGKILL)
        pids.append(eventually(lambda: other_than(service, pids[-1])))
    assert len(set(pids)) == 7
    service.signal()
    assert service.wait() == 0


def other_than(service: Launched, pid: int) -> int | None:
    """The answering worker, unless it is still the killed one, which may reset a connection but never refuses."""
    with suppress(ConnectionResetError, json.JSONDecodeError):
        return answering if (answering := service.worker_pid()) != pid else None
    return None


def test_one_of_two_workers_is_replaced_while_the_other_serves(launch: Launch) -> None:
    service = launch(workers=2).ready()
    killed, other = workers_seen(service, 2)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: len(service.events("startup")) == 3)
    assert workers_seen(service, 2) == {other, service.events("startup")[-1]["pid"]}
    service.signal()
    assert service.wait() == 0


def test_workers_that_keep_dying_end_the_service(launch: Launch) -> None:
    service = launch(fault="dies when ready")
    assert service.wait() == 1
    assert service.log.splitlines()[-1].endswith("the service stops: more than 20 workers died within 10 seconds")
    assert len(service.events("startup")) == 21


# --- starts that must fail ---


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("load_app raises", "the application cannot be loaded: ValueError: the file is broken"),
        ("lifespan raises", "the application cannot start: RuntimeError: no database"),
        ("lifespan fails", "the application cannot start: OSError: no store"),
    ],
)
def test_an_application_that_does_not_start_ends_the_service_with_one_line(
    launch: Launch, fault: str, sentence: str
) -> None:
    service = launch(workers=2, fault=fault)
    assert service.wait() == 1
    assert service.log.splitlines() == [f"LOG glimpse.launcher.supervisor ERROR the service stops: {sentence}"]


@pytest.mark.parametrize("shared", [0, 1])
def test_a_port_in_use_is_one_line_even_if_its_owner_would_share_it(launch: Launch, shared: int) -> None:
    with socket.socket() as owner:
        owner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        owner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        port = owner.getsockname()[1]
        service = launch(port=port, workers=2)
        assert service.wait() == 1
    assert service.log.splitlines() == [f"Cannot listen on 127.0.0.1:{port}: the port is in use."]
    assert not service.events("load")


def test_two_services_never_share_a_port(launch: Launch) -> None:
    first = launch(workers=2).ready()
    second = launch(workers=2, port=first.port)
    assert second.wait() == 1
    assert "the port is in use" in second.log


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"host": "no-such-host.invalid", "port": 1}, "Cannot listen on no-such-host.invalid:1: "),
        ({"host": "192.0.2.1", "port": 1}, "Cannot listen on 192.0.2.1:1: this machine has no such address."),
        ({"port": 65536}, "The port must be between 0 and 65535, not 65536."),
        ({"workers": 0}, "The number of workers"),
    ],
)
def test_an_impossible_address_is_one_line(launch: Launch, settings: dict[str, object], sentence: str) -> None:
    service = launch(**settings)
    assert service.wait() == 1
    assert len(service.log.splitlines()) == 1
    assert service.log.startswith(sentence)


def test_an_error_of_the_hook_in_the_parent_ends_the_service(launch: Launch) -> None:
    service = launch(fault="in_parent raises")
    assert service.wait() == 1
    assert service.log.splitlines() == ["The metrics port is in use."]


def test_a_server_that_is_not_installed_is_a_launch_error(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"glimpse.launcher.{server}_server", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == server]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, server, None)
    with pytest.raises(LaunchError, match=f"{server}(, which is not installed; install it| cannot be imported)"):
        serve(ServeOptions(server=server, port=0), load_app=pytest.fail)  # type: ignore[arg-type]


# --- what the application may rely on ---


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (WHOLE, HALF),
        (CHUNKED, b"5\r\nhello\r\n"),
        (CHUNKED, b"5\r\nhe"),
        (CHUNKED, b"5\r\nhello\r\n0\r\n"),
    ],
    ids=["length", "between chunks", "in a chunk", "before the last line"],
)
def test_a_truncated_upload_is_a_disconnect(launch: Launch, head: tuple[str, ...], body: bytes) -> None:
    service = launch().ready()
    with service.connect() as connection:
        connection.sendall(request(*head) + body)
        service.event("upload begins")
    end = service.event("upload ends")
    assert (end["end"], end["again"]) == ("http.disconnect", "http.disconnect")


def test_a_complete_upload_is_not_a_disconnect_in_either_framing(launch: Launch) -> None:
    service = launch().ready()
    for head, body in ((WHOLE, HALF + HALF), (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n")):
        with service.connect() as connection:
            connection.sendall(request(*head, "Connection: close") + body)
            read_all(connection)
    assert [(end["end"], end["total"]) for end in service.events("upload ends")] == [
        ("http.request", 100_000),
        ("http.request", 5),
    ]


def test_waiting_for_a_part_with_a_limit_loses_nothing(launch: Launch) -> None:
    # With asyncio.wait() on one task. asyncio.wait_for() cancels receive(), and granian then loses the part.
    service = launch().ready()
    with service.connect() as connection:
        connection.sendall(request("PUT", "/patient", "Content-Length: 200000", "Connection: close"))
        for _ in range(100):
            connection.sendall(b"x" * 2000)
            time.sleep(0.003)
        answer = json.loads(read_all(connection).partition(b"\r\n\r\n")[2])
    assert answer["total"] == 200_000
    assert answer["waits"] > 0


def test_a_client_is_held_back_while_the_application_does_not_read(launch: Launch) -> None:
    service = launch().ready()
    pid = service.worker_pid()
    before = resident_mib(pid)
    with service.connect() as connection:
        connection.sendall(request("PUT", "/unread", f"Content-Length: {128 << 20}"))
        sender = threading.Thread(target=send_until_stopped, args=(connection, 128))
        sender.start()
        service.event("first part")
        time.sleep(1)
        assert sender.is_alive(), "the server took 128 MiB that nobody reads"
        assert resident_mib(pid) - before < 32
        connection.shutdown(socket.SHUT_RDWR)
        sender.join()


def send_until_stopped(connection: socket.socket, mebibytes: int) -> None:
    with suppress(OSError):
        for _ in range(mebibytes):
            connection.sendall(b"x" * (1 << 20))


def test_the_application_is_held_back_while_the_client_does_not_read(launch: Launch) -> None:
    service = launch().ready()
    pid = service.worker_pid()
    before = resident_mib(pid)
    with service.connect() as connection:
        connection.sendall(request("GET", "/download", "Connection: close"))
        service.event("sent")
        time.sleep(1)
        assert service.events("sent")[-1]["parts"] < 64
        assert resident_mib(pid) - before < 32
        assert len(read_all(connection)) > 128 << 20
    assert service.events("sent")[-1]["parts"] == 128


def test_an_answer_that_breaks_off_never_looks_complete(launch: Launch) -> None:
    service = launch().ready()
    for _ in range(20):
        with service.connect() as connection:
            connection.sendall(request("GET", "/broken"))
            answer = read_all(connection)
        assert answer.endswith(b"\r\n4\r\nhalf\r\n"), "the last chunk would be 0"


def test_the_client_is_asked_to_continue_only_when_the_application_reads(launch: Launch) -> None:
    service = launch().ready()
    with service.connect() as connection:
        connection.sendall(request("PUT", "/refuse", "Content-Length: 5", "Expect: 100-continue", "Connection: close"))
        assert read_all(connection).startswith(b"HTTP/1.1 403 ")
    with service.connect() as connection:
        connection.sendall(request("PUT", "/upload", "Content-Length: 5", "Expect: 100-continue", "Connection: close"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_an_early_answer_to_a_large_body_reaches_the_client(launch: Launch) -> None:
    service = launch().ready()
    with service.connect() as connection:
        connection.sendall(request("PUT", "/refuse", f"Content-Length: {8 << 20}", "Connection: close"))
        send_until_stopped(connection, 8)
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")


def test_large_headers_are_accepted(launch: Launch) -> None:
    service = launch().ready()
    sizes = {"x-one": 16384, "x-two": 16384, "x-three": 16384, "x-four": 12000}
    with service.connect() as connection:
        headers = [f"{name}: {'v' * size}" for name, size in sizes.items()]
        connection.sendall(request("GET", "/headers", "Connection: close", *headers))
        answer = json.loads(read_all(connection).partition(b"\r\n\r\n")[2])
    assert {name: answer["sizes"][name] for name in sizes} == sizes


BARE_LF = {
    "all lines": b"GET /pid HTTP/1.1\nHost: x\nConnection: close\n\n",
    "request line": b"GET /pid HTTP/1.1\nHost: x\r\nConnection: close\r\n\r\n",
    "header line": b"GET /pid HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\nConnection: close\r\n\r\n",
    "last line": b"GET /pid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\n",
    "hidden coding": b"POST /pid HTTP/1.1\r\nHost: x\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("case", BARE_LF)
def test_a_bare_lf_ends_a_header_line_with_granian_only(launch: Launch, server: str, case: str) -> None:
    """granian's parser cannot be told to refuse it, and hides it from the application: SECURITY.md says so."""
    service = launch().ready()
    with service.connect() as connection:
        connection.sendall(BARE_LF[case])
        status = connection.recv(12)
    assert status == (b"HTTP/1.1 200" if server == "granian" else b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "body",
    [
        b"3\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3;a=b\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\nX: y\r\n\r\n",
        b"3\r\nabc\r\n0\r\nX: y\n\r\n",
    ],
)
def test_a_bare_lf_ends_no_line_of_a_chunked_body(launch: Launch, body: bytes) -> None:
    service = launch().ready()
    with service.connect() as connection:
        connection.sendall(request(*CHUNKED) + body)
        connection.shutdown(socket.SHUT_WR)
        read_all(connection)
    assert service.event("upload ends")["end"] == "http.disconnect"


def test_nobody_but_the_application_decides_whom_to_believe(launch: Launch) -> None:
    service = launch().ready()
    with service.connect() as connection:
        forwarded = ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "Connection: close")
        connection.sendall(request("GET", "/headers", *forwarded))
        answer = json.loads(read_all(connection).partition(b"\r\n\r\n")[2])
    assert (answer["client"], answer["scheme"]) == ("127.0.0.1", "http")


def test_an_idle_connection_is_closed(launch: Launch) -> None:
    service = launch(idle_seconds=1).ready()
    with service.connect() as connection:
        connection.sendall(request("GET", "/pid"))
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_every_line_of_the_log_comes_from_the_logging_of_the_program(launch: Launch, server: str) -> None:
    service = launch(workers=2, access_log=True, log_level=20).ready()
    os.kill(service.events("load")[0]["pid"], signal.SIGKILL)
    eventually(lambda: len(service.events("startup")) == 3)
    service.get("/pid")
    service.signal()
    assert service.wait() == 0
    lines = service.log.splitlines()
    assert all(line.startswith("LOG ") for line in lines)
    names = {line.split()[1] for line in lines}
    own = {
        "granian": {"_granian", "_granian.serve", "granian.access"},
        "uvicorn": {"uvicorn.error", "uvicorn.access"},
    }
    assert names == {"glimpse.launcher.supervisor"} | own[server]
    assert sum("GET /pid" in line for line in lines) == 1
    assert not any("experimental" in line for line in lines)
