"""Speed, processor time and memory of transfers on each storage backend: Glimpse, a real Glance, and a plain client.

    python -m bench.stores [--backends file,rbd,s3,swift,cinder] [--mib 256] [--rounds 3] [--streams 8]
                           [--workers 2] [--db mysql] [--json FILE] [--alone]

``make bench stores`` runs it; ``ARGUMENTS="..."`` are passed on. It needs Debian and what ``dev/rigs`` needs. Both
services have a configuration of Glance's, of the same kind, and store in the same system. Each transfer is measured in
turn (Glimpse, Glance, Glimpse, Glance, ..., a plain client at the end of each round). CPU seconds and memory are those
of the service's processes without the backend's. Memory is the highest seen above idle in the processes that took part,
where idle is after transfers of 1 MiB in all workers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.process_tree import watched
from bench.store_backends import BACKENDS, Backend
from bench.store_report import DIGESTS, PLAIN, Figure, Report
from bench.store_targets import (
    Setup,
    Target,
    glance,
    glimpse,
    need_virtual_environment,
    request_headers,
    rig_directory,
    started,
)
from bench.transfers import MIB, Data, Failed

UPLOAD, CHUNKED, DOWNLOAD, RANGES = "upload", "upload, chunked", "download", "ranges"
#: A plain client always knows the size.
PLAIN_WAYS = {
    "digests": [(UPLOAD, DIGESTS), (CHUNKED, DIGESTS)],
    "upload": [(UPLOAD, PLAIN), (CHUNKED, PLAIN)],
    "download": [(DOWNLOAD, PLAIN)],
    "ranges": [(RANGES, PLAIN)],
}
#: A process takes part in a transfer with more than this share of its CPU time.
_TOOK_PART = 0.02
#: Small transfers at the same time before the measurements.
_WARM = 8


class Measured:
    """One service under measurement: its idle memory, and the image that the downloads read."""

    def __init__(self, target: Target, data: Data) -> None:
        self.target = target
        self._data = data
        self._client = target.client
        self.image_id = ""
        self._warm_up()
        time.sleep(1)
        self._idle = target.processes.memory()

    def figure(self, backend: str, way: str, number: int, streams: int, settle: list[str]) -> Figure:
        """Carry out one transfer, after the command ``settle``.

        :raises Failed: the service does not do it.
        """
        work = self._work(way, streams)
        _settle(settle)
        processes = self.target.processes
        before = processes.processor_seconds()
        with watched(processes) as peaks:
            began = time.perf_counter()
            work()
            seconds = time.perf_counter() - began
        spent = {pid: cpu - before.get(pid, 0) for pid, cpu in processes.processor_seconds().items()}
        cpu = sum(spent.values())
        # a worker that was idle may still keep what an earlier transfer needed
        memory = sum(
            peak - self._idle.get(pid, 0) for pid, peak in peaks.items() if spent.get(pid, 0) > _TOOK_PART * cpu
        )
        return Figure(backend, way, self.target.name, number, self._data.size, seconds, cpu, memory)

    def end_round(self) -> None:
        """Delete the image."""
        if self.image_id:
            self._client.delete(self.image_id)
        self.image_id = ""

    def check(self) -> None:
        """See that both directions are right: the digest of the service, and that of a download."""
        self._client.check(self.image_id, self._data)
        if self._client.sha512_of(self.image_id) != self._data.sha512:
            raise SystemExit(f"{self.target.name} sends other bytes")

    def _work(self, way: str, streams: int) -> Callable[[], None]:
        size = self._data.size
        if way in {UPLOAD, CHUNKED}:
            self.end_round()
            self.image_id = self._client.create()
            return lambda: self._client.upload(self.image_id, self._data, chunked=way == CHUNKED)
        if way == DOWNLOAD:
            return lambda: self._client.download(self.image_id, 0, size, whole=True)
        self._client.download(self.image_id, 0, 1)  # refused at once where there are no ranges
        return lambda: self._client.download_ranges(self.image_id, size, streams)

    def _warm_up(self) -> None:
        """Have each worker load its libraries and open its connections, as far as the kernel spreads requests."""
        with ThreadPoolExecutor(_WARM) as threads:
            for future in [threads.submit(self._transfer_small) for _ in range(_WARM)]:
                future.result()

    def _transfer_small(self) -> None:
        data = Data(MIB)
        image_id = self._client.create()
        self._client.upload(image_id, data, chunked=False)
        self._client.download(image_id, 0, MIB, whole=True)
        self._client.delete(image_id)


def measure(backend: Backend, asked: argparse.Namespace, data: Data, report: Report) -> None:
    """Measure one backend."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(started([f"db {asked.db.replace('mysql', 'mariadb')}", *backend.rigs]))
        if backend.plain:
            need_virtual_environment(backend.plain)
        settings = {**os.environ, "RIG_DIR": str(rig_directory())}
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="glimpse-bench-")))
        sections, stores = backend.sections(settings), place / "stores.conf"
        stores.write_text(sections)
        setup = Setup(
            stores if sections else None, asked.db, asked.workers, backend.environment(settings), backend.auth
        )
        ours, configuration = stack.enter_context(glimpse(setup, place))
        targets = [ours] if asked.alone else [ours, stack.enter_context(glance(setup))]
        for target in targets:
            target.client.headers = request_headers(backend.auth)
        services = [Measured(target, data) for target in targets]
        settle = backend.settle(settings)
        for number in range(asked.rounds):
            for target in targets:
                target.client.headers = request_headers(backend.auth)  # a token may be too old by now
            # the last upload is the one that downloads read
            for way in (CHUNKED, UPLOAD, DOWNLOAD, RANGES):
                for service in services:
                    try:
                        report.figures.append(service.figure(backend.name, way, number, asked.streams, settle))
                    except Failed as error:
                        report.remarks[backend.name, way, service.target.name] = str(error)
                if way == UPLOAD and not number:
                    for service in services:
                        service.check()
            for service in services:
                service.end_round()
            _settle(settle)
            report.figures += plain(backend, configuration, asked, number, {**settings, **setup.environment})
            print(f"{backend.name}: round {number + 1} of {asked.rounds}", file=sys.stderr)


def plain(
    backend: Backend, configuration: Path, asked: argparse.Namespace, number: int, environment: dict[str, str]
) -> list[Figure]:
    """Measure a plain client of the same store."""
    where = [backend.name, str(configuration), str(asked.mib), str(asked.streams)]
    command = [backend.plain_interpreter(rig_directory()), "-m", "bench.plain_clients", *where]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if ended.returncode:
        raise SystemExit(f"the plain client of {backend.name} failed")
    return [
        Figure(backend.name, way, target, number, asked.mib * MIB, one["seconds"], one["cpu"])
        for one in map(json.loads, ended.stdout.splitlines())
        for way, target in PLAIN_WAYS[one["way"]]
    ]


def _settle(command: list[str]) -> None:
    """Let the system write what it has in memory, and free what was deleted."""
    if command:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    os.sync()


def main() -> None:
    """Measure the backends one after the other, and print a table of each when it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--mib", type=int, default=256, help="size of the image")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, default=8, help="parallel ranges of a download")
    parser.add_argument("--workers", type=int, default=2, help="worker processes of each service")
    parser.add_argument("--db", default="mysql", choices=("mysql", "postgresql"))
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--alone", action="store_true", help="without Glance")
    asked = parser.parse_args()
    data, report = Data(asked.mib * MIB), Report(asked.streams)
    load = os.getloadavg()[0]
    about = {"mib": asked.mib, "rounds": asked.rounds, "streams": asked.streams, "workers": asked.workers, "load": load}
    print(f"{asked.mib} MiB, {asked.rounds} rounds, {asked.workers} workers each, load at start {load:.1f}")
    for name in asked.backends.split(","):
        measure(BACKENDS[name], asked, data, report)
        print(f"\n{report.table(name)}", flush=True)
        if asked.json:
            report.save(asked.json, **about)


if __name__ == "__main__":
    main()
