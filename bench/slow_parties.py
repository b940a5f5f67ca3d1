"""What slow parties cost the others: slow readers, readers that take nothing, stores that stay silent.

    python -m bench.slow_parties [readers] [idle] [silent] [--seconds N] [--source DIRECTORY]

Starts a service with one worker and the defaults, lets the slow parties come, and measures how long list, show, and
upload and download of 1 MiB take beside them, and what memory the worker has. Each kind has a service of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOST = "127.0.0.1"
MIB = 1 << 20
IMAGE = 64 * MIB
READERS, IDLE, SILENT = 300, 100, 8


class SilentServer(ThreadingHTTPServer):
    """Answers HEAD, and a GET until it is told to be silent."""

    daemon_threads = True
    request_queue_size = 1024
    silent = False


class _Silent(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(MIB))
        self.end_headers()

    def do_GET(self) -> None:
        assert isinstance(self.server, SilentServer)
        if self.server.silent:
            time.sleep(3600)
        self.do_HEAD()
        self.wfile.write(bytes(MIB))

    def log_message(self, *_: object) -> None:
        """Be silent here, too."""


@contextlib.contextmanager
def service(source: str | None, options: str = "") -> Iterator[tuple[int, int]]:
    """A running service: its port, and the process id of its worker."""
    with tempfile.TemporaryDirectory(prefix="glimpse-bench-") as place, socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
        probe.close()
        config = Path(place) / "glimpse.conf"
        config.write_text(options)
        start = "import sys; from glimpse.cli.main import main; sys.exit(main())"
        command = [sys.executable, "-c", start, "serve", "--config-file", str(config), "--data-dir", place]
        environment = os.environ if source is None else {**os.environ, "PYTHONPATH": source}
        with (Path(place) / "log").open("wb", buffering=0) as log:
            process = subprocess.Popen(
                [*command, "--host", HOST, "--port", str(port)],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )
        try:
            _wait_until_it_answers(port, process, Path(place) / "log")
            yield port, _worker_of(process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"the service ended: {log.read_text()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if call(port, "GET", "/healthcheck")[0] == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the service does not answer")


def _worker_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


def call(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=120)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def image_with_data(port: int, size: int) -> str:
    """An image of zeros."""
    image_id = new_image(port)
    status, told = call(
        port, "PUT", f"/v2/images/{image_id}/file", bytes(size), {"Content-Type": "application/octet-stream"}
    )
    assert status == 204, told
    return image_id


def new_image(port: int) -> str:
    """A queued image."""
    document = json.dumps({"disk_format": "raw", "container_format": "bare"}).encode()
    status, told = call(port, "POST", "/v2/images", document, {"Content-Type": "application/json"})
    assert status == 201, told
    return str(json.loads(told)["id"])


def start_download(port: int, image_id: str, *, receive_buffer: int | None = None) -> socket.socket:
    """Ask for the data and read nothing."""
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(60)
    connection.connect((HOST, port))
    connection.sendall(f"GET /v2/images/{image_id}/file HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return connection


class SlowReading(threading.Thread):
    """Reads 1 KiB a second from each connection."""

    def __init__(self, connections: list[socket.socket]) -> None:
        super().__init__(daemon=True)
        self.connections = connections
        self.ended = threading.Event()
        self.cut = 0

    def run(self) -> None:
        alive = list(self.connections)
        while not self.ended.wait(1.0):
            for connection in list(alive):
                try:
                    if not connection.recv(1024):
                        raise ConnectionResetError
                except OSError:
                    alive.remove(connection)
                    self.cut += 1


def resident_mib(pid: int) -> float:
    """Memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def measure(port: int, pid: int, seconds: float, title: str, image_id: str) -> None:
    """Ask in turns, and print what the answers took."""
    took: dict[str, list[float]] = {kind: [] for kind in ("create", "list", "show", "upload", "download")}
    most, failed, until = 0.0, 0, time.monotonic() + seconds
    octets = {"Content-Type": "application/octet-stream"}
    while time.monotonic() < until or not took["download"]:
        began = time.monotonic()
        queued = new_image(port)
        took["create"].append((time.monotonic() - began) * 1000)
        for kind, request in (
            ("list", ("GET", "/v2/images", None, None)),
            ("show", ("GET", f"/v2/images/{image_id}", None, None)),
            ("upload", ("PUT", f"/v2/images/{queued}/file", bytes(MIB), octets)),
            ("download", ("GET", f"/v2/images/{queued}/file", None, None)),
        ):
            began = time.monotonic()
            status, _ = call(port, *request)
            took[kind].append((time.monotonic() - began) * 1000)
            failed += status >= 400
        call(port, "DELETE", f"/v2/images/{queued}")
        most = max(most, resident_mib(pid))
    cells = [f"{kind} {statistics.median(values):.1f}/{max(values):.1f}" for kind, values in took.items()]
    print(f"{title}: ms median/worst {', '.join(cells)}; worker {most:.0f} MiB; {failed} failed", flush=True)


def slow_readers(source: str | None, seconds: float, count: int, *, reads: bool) -> None:
    """Readers at 1 KiB/s, or readers that take nothing."""
    with service(source) as (port, pid):
        image_id = image_with_data(port, IMAGE)
        measure(port, pid, 3, "nobody slow", image_id)
        before = resident_mib(pid)
        connections = [start_download(port, image_id, receive_buffer=64 << 10) for _ in range(count)]
        slow = SlowReading(connections)
        if reads:
            slow.start()
        time.sleep(5)
        title = f"{count} readers at 1 KiB/s" if reads else f"{count} readers that take nothing"
        measure(port, pid, seconds, title, image_id)
        print(f"    grown by {resident_mib(pid) - before:.0f} MiB, {slow.cut} cut", flush=True)
        slow.ended.set()
        for connection in connections:
            connection.close()


def silent_stores(source: str | None, seconds: float, count: int) -> None:
    """Downloads of images whose web server stays silent."""
    options = (
        "[DEFAULT]\nshow_multiple_locations = true\n[glance_store]\nstores = file,http\ndefault_store = file\n"
        f"[import_filtering_opts]\nallowed_hosts = [{HOST}]\nallowed_ports = []\n"
    )
    web = SilentServer((HOST, 0), _Silent)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    with service(source, options) as (port, pid):
        image_id = image_with_data(port, MIB)
        operation = json.dumps(
            [
                {
                    "op": "add",
                    "path": "/locations/-",
                    "value": {"url": f"http://{HOST}:{web.server_address[1]}/x", "metadata": {}},
                }
            ]
        ).encode()
        headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        images: list[str] = []
        for _ in range(count):
            silent = new_image(port)
            status, told = call(port, "PATCH", f"/v2/images/{silent}", operation, headers)
            assert status == 200, told
            images.append(silent)
        for silent in images:
            # what clients name is read and checked before it is served
            while call(port, "GET", f"/v2/images/{silent}/file")[0] != 200:
                time.sleep(0.2)
        web.silent = True
        held = [start_download(port, silent) for silent in images]
        time.sleep(1)
        measure(port, pid, seconds, f"{count} silent stores", image_id)
        for connection in held:
            connection.close()
    web.shutdown()


def main() -> None:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=["readers", "idle", "silent"])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--source", help="where another version of the package is, its directory src")
    asked = parser.parse_args()
    for kind in asked.kinds:
        if kind == "silent":
            silent_stores(asked.source, asked.seconds, SILENT)
        else:
            count = READERS if kind == "readers" else IDLE
            slow_readers(asked.source, asked.seconds, count, reads=kind == "readers")


if __name__ == "__main__":
    main()
