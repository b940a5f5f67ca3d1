"""Speed of Glimpse, compared with Glance if its URL is given: rounds in turn, medians, ratios.

    GLIMPSE_BENCH_GLANCE=http://127.0.0.1:9292 python bench/run.py

Without the variable Glimpse runs alone. Glance must accept the headers of the variables ``GLIMPSE_BENCH_HEADERS``
(``Name: value`` lines). Figures of one run compare with each other only. Loops are bounded in count.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

ROUNDS = 5
SHOWS = 300
LISTS = 60
CREATES = 100
UPLOAD_BYTES = 256 << 20
PART = bytes(1 << 20)


class Target:
    """One service under measurement, over one keep-alive connection."""

    def __init__(self, name: str, url: str, headers: dict[str, str]) -> None:
        self.name = name
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 9292)
        self._headers = headers
        self._connection = http.client.HTTPConnection(*self._address, timeout=120)
        self.created: list[str] = []

    def request(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> bytes:
        """One request; anything but success ends the run."""
        self._connection.request(method, path, body, {**self._headers, **(headers or {})})  # type: ignore[arg-type]
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{self.name}: {method} {path}: {answer.status} {content[:300]!r}")
        return content

    def create(self, **properties: str) -> str:
        """A new image; its id."""
        document = {"name": "bench", "disk_format": "raw", "container_format": "bare", **properties}
        body = json.dumps(document)
        image_id = str(json.loads(self.request("POST", "/v2/images", body))["id"])
        self.created.append(image_id)
        return image_id

    def clean(self) -> None:
        """Delete what was created."""
        for image_id in self.created:
            self.request("DELETE", f"/v2/images/{image_id}")


def upload(target: Target) -> None:
    image_id = target.create()
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(UPLOAD_BYTES)}
    target.request("PUT", f"/v2/images/{image_id}/file", (PART for _ in range(UPLOAD_BYTES // len(PART))), headers)


def repeat(count: int, path: Callable[[Target], str]) -> Callable[[Target], None]:
    def run(target: Target) -> None:
        where = path(target)
        for _ in range(count):
            target.request("GET", where)

    return run


def creates(target: Target) -> None:
    for _ in range(CREATES):
        target.create()


WORKLOADS: dict[str, tuple[Callable[[Target], None], float, str]] = {
    "show": (repeat(SHOWS, lambda target: f"/v2/images/{target.created[0]}"), SHOWS, "answers/s"),
    "list of 25": (repeat(LISTS, lambda _: "/v2/images?limit=25"), LISTS, "answers/s"),
    "create": (creates, CREATES, "answers/s"),
    "upload": (upload, UPLOAD_BYTES / (1 << 20), "MiB/s"),
    "download": (
        repeat(1, lambda target: f"/v2/images/{target.created[-1]}/file"),
        UPLOAD_BYTES / (1 << 20),
        "MiB/s",
    ),
}


def measure(targets: list[Target]) -> None:
    """Every workload on every target in turn, ``ROUNDS`` times; prints medians and the ratio to the last target."""
    for target in targets:
        for _ in range(50):
            target.create(**{f"property_{index}": f"value {index}" for index in range(8)})
    print(f"{'workload':<12} {'unit':<10} " + " ".join(f"{target.name:>12}" for target in targets) + f" {'ratio':>8}")
    for name, (work, amount, unit) in WORKLOADS.items():
        rates: dict[str, list[float]] = {target.name: [] for target in targets}
        for _ in range(ROUNDS):
            for target in targets:
                start = time.perf_counter()
                work(target)
                rates[target.name].append(amount / (time.perf_counter() - start))
        medians = [statistics.median(rates[target.name]) for target in targets]
        ratio = f"{medians[0] / medians[-1]:8.1f}" if len(targets) > 1 else f"{'-':>8}"
        print(f"{name:<12} {unit:<10} " + " ".join(f"{median:12.1f}" for median in medians) + f" {ratio}")
    for target in targets:
        target.clean()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> None:
    """Start Glimpse on a fresh directory and measure."""
    directory = Path(tempfile.mkdtemp(prefix="glimpse-bench-"))
    port = free_port()
    workers = os.environ.get("GLIMPSE_BENCH_WORKERS", "1")
    command = [Path(sys.executable).parent / "glimpse", "serve", "--data-dir", directory, "--port", str(port)]
    service = subprocess.Popen([*command, "--workers", workers], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        targets = [Target("glimpse", f"http://127.0.0.1:{port}", {})]
        glance = os.environ.get("GLIMPSE_BENCH_GLANCE")
        if glance:
            lines = os.environ.get("GLIMPSE_BENCH_HEADERS", "").splitlines()
            headers = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            targets.append(Target("glance", glance, headers))
        measure(targets)
    finally:
        service.terminate()
        service.wait(90)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
