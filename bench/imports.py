"""Imports: Glimpse and a real Glance side by side, from staged data and from a web server, into one and two stores.

    python -m bench.imports [--mib 1024] [--rounds 3] [--workers 2] [--db mysql] [--json FILE] [--alone]

``make bench imports`` runs it; ``ARGUMENTS="..."`` are passed on. It needs Debian and what ``dev/rigs`` needs. Both
services have two filesystem stores on the file system of their staging area, and import in turn (Glimpse, Glance,
Glimpse, Glance, ...). The time is that from the request for the import until the image is active and unlocked. The
bytes written to disk include those of the stage before it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.store_report import GLANCE, GLIMPSE
from bench.store_targets import Setup, Target, glance, glimpse, request_headers, started
from bench.transfers import BLOCK, MIB, Data, Failed

STAGED, WEB = "glance-direct", "web-download"
WAYS = [(STAGED, 1), (STAGED, 2), (WEB, 1), (WEB, 2)]
STORES = ["fast", "slow"]
_LONGEST_SECONDS = 1800
_INTERVAL = 0.1
_LOCK = "os_glance_import_task"


class Source:
    """A web server in this process that sends ``data`` from the page cache, and counts requests for them."""

    def __init__(self, data: Data) -> None:
        self.requests = 0
        source = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                source.requests += 1
                self.send_response(200)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(data.size))
                self.end_headers()
                self.wfile.flush()
                for offset, size in data.parts(BLOCK):
                    done = 0
                    while done < size:
                        done += os.sendfile(self.connection.fileno(), data.descriptor, offset + done, size - done)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/image"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve while the block runs."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def measure(target: Target, way: str, stores: int, data: Data, source: Source) -> dict[str, float]:
    """Import one image, and delete it; return seconds, CPU seconds and bytes written to disk.

    :raises Failed: the service does not do it.
    """
    client, processes = target.client, target.processes
    client.headers = request_headers("keystone")  # a token may be too old by now
    image_id = client.create()
    written = _written(target)
    method: dict[str, object] = {"name": way}
    if way == STAGED:
        client.stage(image_id, data)
    else:
        method["uri"] = source.url
    os.sync()
    asked = source.requests
    cpu = processes.processor_seconds()
    began = time.perf_counter()
    client.call("POST", f"/v2/images/{image_id}/import", {"method": method, "stores": STORES[:stores]})
    while True:
        image = client.call("GET", f"/v2/images/{image_id}")
        if image["status"] == "active" and not image.get(_LOCK):
            break
        if image.get("os_glance_failed_import") or not image.get(_LOCK) or _late(began):
            raise Failed(f"{target.name}: the import by {way} failed: {image}")
        time.sleep(_INTERVAL)
    seconds = time.perf_counter() - began
    spent = sum(now - cpu.get(pid, 0) for pid, now in processes.processor_seconds().items())
    client.check(image_id, data)
    if way == WEB and source.requests - asked != 1:
        raise Failed(f"{target.name} made {source.requests - asked} requests for the data")
    os.sync()
    result = {"seconds": seconds, "cpu": spent, "written": _written(target) - written}
    client.delete(image_id)
    return result


def _late(began: float) -> bool:
    return time.perf_counter() - began > _LONGEST_SECONDS


def _written(target: Target) -> int:
    """Return the bytes that the processes of a service have made the kernel write to disks."""
    total = 0
    for pid in target.processes.pids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
    return total


def table(figures: list[dict[str, object]], size: int) -> str:
    """Return medians, and Glance's divided by Glimpse's."""
    lines = [
        "| import | stores | s | Glance's | times as fast | CPU s | Glance's | CPU ratio | writes | Glance's |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for way, stores in WAYS:
        cells: dict[str, list[float]] = {}
        for name in (GLIMPSE, GLANCE):
            found = [one for one in figures if (one["target"], one["way"], one["stores"]) == (name, way, stores)]
            cells[name] = [
                statistics.median(float(str(one[what])) for one in found) if found else float("nan")
                for what in ("seconds", "cpu", "written")
            ]
        (ours, our_cpu, our_bytes), (theirs, their_cpu, their_bytes) = cells[GLIMPSE], cells[GLANCE]
        lines.append(
            f"| {way} | {stores} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.2f} | {our_cpu:.1f} | {their_cpu:.1f} "
            f"| {their_cpu / our_cpu:.2f} | {our_bytes / size:.2f} × | {their_bytes / size:.2f} × |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="size of the image")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="worker processes of each service")
    parser.add_argument("--db", default="mysql", choices=("mysql", "postgresql"))
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--alone", action="store_true", help="without Glance")
    asked = parser.parse_args()
    data = Data(asked.mib * MIB)
    source = Source(data)
    figures: list[dict[str, object]] = []
    print(f"{asked.mib} MiB, {asked.rounds} rounds, load at start {os.getloadavg()[0]:.1f}", flush=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(source.running())
        # without Keystone Glance answers requests for imports with 500
        stack.enter_context(started([f"db {asked.db.replace('mysql', 'mariadb')}", "keystone"]))
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="glimpse-bench-")))
        setup = Setup(None, asked.db, asked.workers, {}, "keystone", named=True)
        ours, _ = stack.enter_context(glimpse(setup, place))
        targets = [ours] if asked.alone else [ours, stack.enter_context(glance(setup))]
        small = Data(MIB)
        small_source = Source(small)
        with small_source.running():
            for target in targets:
                for way, stores in WAYS:
                    measure(target, way, stores, small, small_source)  # have it load its libraries
        for number in range(asked.rounds):
            for way, stores in WAYS:
                for target in targets:
                    found = measure(target, way, stores, data, source)
                    figures.append({"target": target.name, "way": way, "stores": stores, "round": number, **found})
                    print(json.dumps(figures[-1]), file=sys.stderr, flush=True)
    print(f"\n{table(figures, data.size)}\n\nload at end {os.getloadavg()[0]:.1f}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
