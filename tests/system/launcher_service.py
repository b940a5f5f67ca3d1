"""A launched service as the tests of the launcher see it: a process, its log, its events, and raw connections."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
SOURCES = HERE.parent.parent / "src"
PATIENCE_SECONDS = 20.0


def eventually(condition: Callable[[], Any]) -> Any:
    """Wait until a condition holds and return its value; the waiting is bounded."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


class Launched:
    """One running ``launcher_main.py``."""

    def __init__(self, place: Path, **settings: Any) -> None:
        self.events_file = place / "events"
        self.log_file = place / "log"
        self.port = 0
        settings = {"port": 0, "events": str(self.events_file), **settings}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "launcher_main.py"), json.dumps(settings)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(SOURCES)},
                start_new_session=True,  # a Ctrl-C of its own
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # The whole group: also workers whose parent a test has killed.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ready(self) -> Self:
        """Wait until every worker serves, and learn the port."""
        found = eventually(lambda: re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.log))
        self.port = int(found[1])
        return self

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the application recorded under a name, in the order of time."""
        if not self.events_file.exists():
            return []
        events = [json.loads(line) for line in self.events_file.read_text().splitlines()]
        return [event for event in events if event["event"] == name]

    def event(self, name: str) -> dict[str, Any]:
        """Wait for the first event of a name."""
        return eventually(lambda: self.events(name))[0]

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end of the parent process and return its status."""
        return self.process.wait(PATIENCE_SECONDS)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)

    def refuses(self) -> bool:
        """Whether the port takes no connections any more."""
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass
        return False

    def get(self, path: str) -> dict[str, Any]:
        """The JSON answer to a GET on a connection of its own."""
        with self.connect() as connection:
            connection.sendall(request("GET", path, "Connection: close"))
            return json.loads(read_all(connection).partition(b"\r\n\r\n")[2])

    def worker_pid(self) -> int:
        return int(self.get("/pid")["pid"])


def request(method: str, path: str, *headers: str) -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *headers, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts: list[bytes] = []
    while part := connection.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def resident_mib(pid: int) -> float:
    """Resident memory of a process in MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024
