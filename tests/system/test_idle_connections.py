"""Idle connections do not block others: a worker that is nearly full closes the longest idle ones."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.registry_service import RegistryService
from tests.system.launcher_service import Launched, eventually, read_all, request

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

MOST = 16
#: Far longer than a test may take, so that no connection ends by its idle time.
IDLE = 600

Launch = Callable[..., Launched]


@pytest.fixture(params=["granian", "uvicorn"])
def launch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launch]:
    pytest.importorskip(request.param)
    with ExitStack() as stack:
        options = {"server": request.param, "connections": MOST, "idle_seconds": IDLE}
        yield lambda **more: stack.enter_context(Launched(tmp_path, **{**options, **more})).ready()


def closed(connection: socket.socket) -> bool:
    """Whether the server has ended the connection."""
    connection.settimeout(0)
    try:
        return connection.recv(1) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


def ask(connection: socket.socket) -> bytes:
    """A request on a connection that stays open; its answer."""
    connection.settimeout(20)
    connection.sendall(request("GET", "/pid"))
    return answer_of(connection)


def answer_of(connection: socket.socket) -> bytes:
    """An answer, which ends with a JSON object."""
    answer = b""
    while not answer.endswith(b"}"):
        part = connection.recv(4096)
        assert part, "the connection ended"
        answer += part
    return answer


def test_silent_connections_make_room(launch: Launch) -> None:
    service = launch()
    with ExitStack() as stack:
        silent = [stack.enter_context(service.connect()) for _ in range(4 * MOST)]
        for _ in range(5):
            assert service.worker_pid()
        eventually(lambda: any(closed(connection) for connection in silent))
        eventually(lambda: f"of at most {MOST} connections are open in this worker: closed" in service.log)


def test_a_running_request_is_never_cut(launch: Launch) -> None:
    service = launch()
    with ExitStack() as stack:
        upload = stack.enter_context(service.connect())
        upload.sendall(request("PUT", "/upload", "Content-Length: 6") + b"abc")
        service.event("upload begins")
        silent = [stack.enter_context(service.connect()) for _ in range(4 * MOST)]
        eventually(lambda: all(closed(connection) for connection in silent[: MOST // 4]))
        upload.sendall(b"def")
        assert answer_of(upload).endswith(b'{"total": 6}')


def test_connections_that_asked_for_something_go_last(launch: Launch) -> None:
    service = launch()
    with ExitStack() as stack:
        known = stack.enter_context(service.connect())
        assert ask(known).startswith(b"HTTP/1.1 200")
        silent = [stack.enter_context(service.connect()) for _ in range(MOST)]
        eventually(lambda: sum(map(closed, silent)) >= MOST // 4)
        assert ask(known).startswith(b"HTTP/1.1 200")


def test_few_idle_connections_stay(launch: Launch) -> None:
    service = launch(connections=4096)
    with service.connect() as idle:
        assert ask(idle).startswith(b"HTTP/1.1 200")
        for _ in range(20):
            assert service.worker_pid()
        assert ask(idle).startswith(b"HTTP/1.1 200")
    assert "closed" not in service.log


def test_a_worker_full_of_running_requests_says_so_and_cuts_none(launch: Launch) -> None:
    service = launch()
    with ExitStack() as stack:
        uploads = [stack.enter_context(service.connect()) for _ in range(MOST)]
        for upload in uploads:
            upload.sendall(request("PUT", "/upload", "Content-Length: 6", "Connection: close") + b"abc")
        eventually(lambda: len(service.events("upload begins")) == MOST)
        eventually(lambda: "in use; new connections wait" in service.log)
        for upload in uploads:
            upload.sendall(b"def")
            assert read_all(upload).endswith(b'{"total": 6}')


def test_nodes_that_are_silent_make_room_at_the_registry(tmp_path: Path) -> None:
    with (
        RegistryService(tmp_path / "registry", options={"glimpse": {"connections": MOST}}) as registry,
        ExitStack() as stack,
    ):
        context = registry.context()
        known = registry.connect()
        known.request("GET", "/healthcheck")
        assert known.getresponse().read() == b"OK"
        silent = [stack.enter_context(registry.private(context)) for _ in range(MOST)]
        eventually(lambda: sum(map(closed, silent)) >= MOST // 4)
        assert registry.answers()
        # the same connection: nothing connects anew here
        known.auto_open = 0
        known.request("GET", "/healthcheck")
        assert known.getresponse().read() == b"OK"
        known.close()
        assert f"of at most {MOST} connections are open in this worker: closed" in registry.log
