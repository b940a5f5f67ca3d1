"""Processor time of downloads: CPU seconds of the server's process tree per GiB, with some numbers of streams.

    python -m bench.downloads before=/path/of/a/source/tree/src after=src [--servers granian,uvicorn]
        [--streams 1,8,64] [--rounds 5] [--gib 2] [--nginx]

Every NAME=DIRECTORY is a version of the package, started with each of the servers; one worker each. All targets serve
one image of ``--image`` MiB from the page cache, in turn (A B A B ...), and the medians are printed. With ``--nginx``
the same bytes come from nginx with sendfile as well. The client discards what it receives in the kernel (MSG_TRUNC),
so it takes little of the processors; that the bytes are right is checked once before.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
MIB = 1 << 20
TICK = os.sysconf("SC_CLK_TCK")
OCTETS = {"Content-Type": "application/octet-stream"}


@dataclass
class Target:
    """Something that serves the data."""

    name: str
    port: int
    path: str
    pid: int


def processor_seconds(pid: int) -> float:
    """CPU time of a process and of those that it started and that are alive."""
    text = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(text[11]) + int(text[12])) / TICK
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(processor_seconds(int(child)) for child in children)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process and all that it started."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when something listens there."""
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"the server ended: {log.read_text()}")
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port), 1).close()
            return
        time.sleep(0.1)
    raise SystemExit("the server does not answer")


def call(port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    """One request; anything but success ends the run."""
    connection = http.client.HTTPConnection(HOST, port, timeout=300)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content
    finally:
        connection.close()


@contextlib.contextmanager
def glimpse(name: str, source: str, server: str, data: bytes) -> Iterator[Target]:
    """A version of the package with one worker, and an image of ``data`` in its page cache."""
    with tempfile.TemporaryDirectory(prefix="glimpse-bench-") as place:
        port, log = free_port(), Path(place) / "log"
        config = Path(place) / "glimpse.conf"
        config.write_text(f"[DEFAULT]\nworkers = 1\n[glimpse]\nserver = {server}\n")
        start = "import sys; from glimpse.cli.main import main; sys.exit(main())"
        command = [sys.executable, "-c", start, "serve", "--config-file", str(config), "--data-dir", place]
        with log.open("wb", buffering=0) as output:
            process = subprocess.Popen(
                [*command, "--host", HOST, "--port", str(port)],
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": source},
            )
        with ended(process):
            wait_for(port, process, log)
            document = json.dumps({"disk_format": "raw", "container_format": "bare"}).encode()
            created = call(port, "POST", "/v2/images", document, {"Content-Type": "application/json"})
            image_id = json.loads(created)["id"]
            call(port, "PUT", f"/v2/images/{image_id}/file", data, OCTETS)
            yield Target(f"{name} {server}", port, f"/v2/images/{image_id}/file", process.pid)


@contextlib.contextmanager
def nginx(data: bytes) -> Iterator[Target]:
    """nginx with one worker and sendfile."""
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    with tempfile.TemporaryDirectory(prefix="glimpse-bench-") as place:
        Path(place).chmod(0o755)
        (Path(place) / "image").write_bytes(data)
        port = free_port()
        config = Path(place) / "nginx.conf"
        config.write_text(
            f"worker_processes 1; daemon off; pid {place}/pid; error_log {place}/log; user root;\n"
            "events { worker_connections 512; }\n"
            f"http {{ access_log off; sendfile on; server {{ listen {HOST}:{port}; root {place}; }} }}\n"
        )
        process = subprocess.Popen([binary, "-c", str(config)], start_new_session=True)
        with ended(process):
            wait_for(port, process, Path(place) / "log")
            yield Target("nginx sendfile", port, "/image", process.pid)


def drain(target: Target, size: int, times: int) -> None:
    """Ask for the data that many times, each time on a new connection, and discard them."""
    buffer = bytearray(MIB)
    for _ in range(times):
        with socket.create_connection((HOST, target.port), 60) as connection:
            connection.sendall(
                f"GET {target.path} HTTP/1.1\r\nHost: {HOST}\r\nRange: bytes=0-{size - 1}\r\n\r\n".encode()
            )
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            rest = size - len(head.partition(b"\r\n\r\n")[2])
            while rest:
                count = connection.recv_into(buffer, min(rest, MIB), socket.MSG_TRUNC)
                if not count:
                    raise SystemExit(f"{target.name} ended the connection {rest} bytes too early")
                rest -= count


def measure(target: Target, size: int, streams: int, total: int) -> tuple[float, float]:
    """CPU seconds per GiB of the server, and GiB per second."""
    size = min(size, total // streams)
    times = max(1, round(total / streams / size))
    amount = times * streams * size / (1 << 30)
    before, began = processor_seconds(target.pid), time.perf_counter()
    with ThreadPoolExecutor(streams) as threads:
        for future in [threads.submit(drain, target, size, times) for _ in range(streams)]:
            future.result()
    seconds = time.perf_counter() - began
    return (processor_seconds(target.pid) - before) / amount, amount / seconds


def check(target: Target, data: bytes) -> None:
    """See that the bytes are the right ones."""
    received = hashlib.sha256(call(target.port, "GET", target.path)).digest()
    if received != hashlib.sha256(data).digest():
        raise SystemExit(f"{target.name} sends other bytes")


def main() -> None:
    """Start all targets, measure in turn, and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("versions", nargs="+", metavar="NAME=DIRECTORY")
    parser.add_argument("--servers", default="granian,uvicorn")
    parser.add_argument("--streams", default="1,8,64")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image", type=int, default=256, help="MiB of the image")
    parser.add_argument("--gib", type=float, default=4, help="GiB of one measurement")
    parser.add_argument("--nginx", action="store_true")
    asked = parser.parse_args()
    data = os.urandom(asked.image * MIB)
    with contextlib.ExitStack() as stack:
        targets: list[Target] = []
        for server in asked.servers.split(","):
            for version in asked.versions:
                name, _, source = version.partition("=")
                targets.append(stack.enter_context(glimpse(name, str(Path(source).resolve()), server, data)))
        if asked.nginx:
            targets.append(stack.enter_context(nginx(data)))
        for target in targets:
            check(target, data)
        print(f"{'CPU s per GiB: median (lowest-highest), GiB/s':<30}")
        for streams in map(int, asked.streams.split(",")):
            found: dict[str, list[tuple[float, float]]] = {target.name: [] for target in targets}
            for _ in range(asked.rounds):
                for target in targets:
                    found[target.name].append(measure(target, len(data), streams, int(asked.gib * (1 << 30))))
            for name, rounds in found.items():
                costs = sorted(cost for cost, _ in rounds)
                rate = statistics.median(speed for _, speed in rounds)
                middle = statistics.median(costs)
                print(f"{streams:3} streams  {name:<24} {middle:.3f} ({costs[0]:.3f}-{costs[-1]:.3f})  {rate:.2f}")


if __name__ == "__main__":
    main()
