"""What crowds cost the others: thousands of silent connections, and clients that try wrong passwords.

    python -m bench.crowds [silent] [guesses] [--silent-connections N] [--guessers N] [--seconds N] [--source DIRECTORY]

Each kind has a service of its own with one worker and the defaults. ``silent`` opens connections and sends nothing,
then asks for health, list and show, and uploads and downloads 1 MiB, each once on a connection of its own. ``guesses``
has clients that send another wrong password with each request, and measures logins beside them: of a user who logs in
for the first time, from the guessers' address and from another one, and of a user whose password was right before.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench.slow_parties import HOST, MIB, call, image_with_data, new_image, resident_mib, service
from glimpse.auth.htpasswd import set_password
from glimpse.launcher.descriptors import raise_soft_limit

#: The address of clients that have nothing to do with the guessers.
ELSEWHERE = "127.0.0.2"
NEWCOMERS = 4


def silent_connections(source: str | None, count: int) -> None:
    """Print what each kind of request takes while ``count`` silent connections are open."""
    with service(source) as (port, pid):
        image_id = image_with_data(port, MIB)
        _print_requests(port, pid, image_id, "nobody")
        crowd = [_connect(port) for _ in range(count)]
        _print_requests(port, pid, image_id, f"{count} silent connections")
        for connection in crowd:
            connection.close()


def _connect(port: int) -> socket.socket:
    """A connection that is never used, which may still be on its way."""
    connection = socket.socket()
    connection.settimeout(0)
    with suppress(BlockingIOError):
        connection.connect((HOST, port))
    return connection


def _print_requests(port: int, pid: int, image_id: str, title: str) -> None:
    octets = {"Content-Type": "application/octet-stream"}
    cells: list[str] = []
    queued = ""

    def create() -> None:
        nonlocal queued
        queued = new_image(port)

    steps: dict[str, Callable[[], object]] = {
        "health": lambda: call(port, "GET", "/healthcheck"),
        "list": lambda: call(port, "GET", "/v2/images"),
        "show": lambda: call(port, "GET", f"/v2/images/{image_id}"),
        "create": create,
        "upload": lambda: call(port, "PUT", f"/v2/images/{queued}/file", bytes(MIB), octets),
        "download": lambda: call(port, "GET", f"/v2/images/{queued}/file"),
    }
    for name, step in steps.items():
        cells.append(f"{name} {_seconds(step) * 1000:.0f}")
    print(f"{title}: ms {', '.join(cells)}; worker {resident_mib(pid):.0f} MiB", flush=True)


def guesses(source: str | None, count: int, seconds: float) -> None:
    """Print what logins take while ``count`` clients try wrong passwords."""
    with tempfile.TemporaryDirectory(prefix="glimpse-bench-users-") as place:
        passwords = Path(place) / "htpasswd"
        for name in ("known", *(f"new{number}" for number in range(2 * NEWCOMERS))):
            set_password(passwords, name, "right")
        with service(source, f"[glimpse]\nauth = basic\nhtpasswd_file = {passwords}\n") as (port, pid):
            _login(port, "known", "right")
            _print_logins(port, pid, [], 0, "nobody")
            ended = threading.Event()
            crowd = [threading.Thread(target=_guess, args=(port, number, ended)) for number in range(count)]
            for thread in crowd:
                thread.start()
            time.sleep(seconds)
            _print_logins(port, pid, [ELSEWHERE, HOST], NEWCOMERS, f"{count} guessing clients")
            ended.set()
            for thread in crowd:
                thread.join()


def _guess(port: int, number: int, ended: threading.Event) -> None:
    attempt = 0
    while not ended.is_set():
        attempt += 1
        with suppress(OSError, http.client.HTTPException):
            if _login(port, f"u{number}", f"wrong {attempt}") == 429:
                ended.wait(1.0)


def _print_logins(port: int, pid: int, addresses: list[str], newcomers: int, title: str) -> None:
    cells = [f"health {_median(lambda: call(port, 'GET', '/healthcheck')):.0f}"]
    cells.append(f"known user {_median(lambda: _login(port, 'known', 'right')):.0f}")
    for index, address in enumerate(addresses):
        names = [f"new{index * newcomers + number}" for number in range(newcomers)]
        cells.append(_first_logins(port, names, address))
    print(f"{title}: ms {', '.join(cells)}; worker {resident_mib(pid):.0f} MiB", flush=True)


def _first_logins(port: int, names: list[str], address: str) -> str:
    statuses: set[int] = set()
    times: list[float] = []
    for name in names:
        began = time.monotonic()
        statuses.add(_login(port, name, "right", address))
        times.append((time.monotonic() - began) * 1000)
    where = "the guessers' address" if address == HOST else "elsewhere"
    return f"first login from {where} {statistics.median(times):.0f}/{max(times):.0f} (status {sorted(statuses)})"


def _login(port: int, name: str, password: str, address: str = HOST) -> int:
    token = base64.b64encode(f"{name}:{password}".encode()).decode()
    connection = http.client.HTTPConnection(HOST, port, timeout=120, source_address=(address, 0))
    try:
        connection.request("GET", "/v2/images?limit=1", headers={"Authorization": f"Basic {token}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def _median(work: Callable[[], object], times: int = 5) -> float:
    return statistics.median(_seconds(work) * 1000 for _ in range(times))


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="silent, guesses; both by default")
    parser.add_argument("--silent-connections", type=int, default=4300)
    parser.add_argument("--guessers", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=10.0, help="of guessing before anything is measured")
    parser.add_argument("--source", help="a src directory in place of the installed one")
    given = parser.parse_args()
    raise_soft_limit()
    kinds = given.kinds or ["silent", "guesses"]
    if "silent" in kinds:
        silent_connections(given.source, given.silent_connections)
    if "guesses" in kinds:
        guesses(given.source, given.guessers, given.seconds)


if __name__ == "__main__":
    main()
