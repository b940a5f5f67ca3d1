"""What a registry costs: requests to `glimpse serve` on a database, and to one that has the same database behind it.

    python bench/registry.py postgresql://user:password@host/an_empty_database

Requests go to the two in turn, pair by pair; the medians of one run compare with each other only. A third part times
single calls without an API: the client of the registry, and the same request by two general HTTP clients.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from glimpse.db.records import Viewer
from glimpse.registry.certs import make_certificates
from glimpse.registry.client import RegistryDatabase
from glimpse.registry.wire import VERSION, VERSION_HEADER, Role
from glimpse.settings.database_url import Address
from glimpse.settings.model import RegistryOptions

HOST = "127.0.0.1"
PAIRS = 1500
LISTS = 300
CALLS = 2000
ON_PAGE = 25
ADMIN = Viewer(None, is_admin=True)


def free_port() -> int:
    """A port that nobody listens on."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


class Process:
    """A `glimpse` command that listens on ``port``, with ``options`` of `[glimpse]`."""

    def __init__(self, place: Path, command: str, port: int, database: str, options: dict[str, object]) -> None:
        place.mkdir()
        lines = ["[DEFAULT]", f"bind_port = {port}", "[database]", f"connection = {database}", "[glimpse]"]
        lines += [f"{name} = {value}" for name, value in {"data_dir": place, "job_threads": 0, **options}.items()]
        (place / "glimpse.conf").write_text("\n".join(lines) + "\n")
        self._log = (place / "log").open("wb")
        script = Path(sys.executable).with_name("glimpse")
        self.process = subprocess.Popen(
            [str(script), command, "--config-file", str(place / "glimpse.conf")], stdout=self._log, stderr=self._log
        )
        self._port = port
        self._place = place

    def wait(self) -> None:
        """Return once somebody listens."""
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self._port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"does not start:\n{(self._place / 'log').read_text()}")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)
        self._log.close()


class Client:
    """One keep-alive connection to an API."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=60)

    def __call__(self, method: str, path: str, document: object = None) -> bytes:
        body = None if document is None else json.dumps(document)
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def pairs(count: int, one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float, float]:
    """Medians in milliseconds of two things done in turn, and that of their ratios."""
    for _ in range(50):
        one(), other()
    times = [(seconds_of(one), seconds_of(other)) for _ in range(count)]
    first, second = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    return first, second, second / first


def report(what: str, figures: tuple[float, float, float]) -> None:
    """One line."""
    print(f"{what:<44} {figures[0]:8.3f} ms {figures[1]:8.3f} ms   × {figures[2]:.2f}", flush=True)


@contextlib.contextmanager
def running(place: Path, database: str) -> Iterator[tuple[int, int, Address, Path]]:
    """An API on the database, a registry, and an API on that; their ports, and the certificates."""
    certificates = place / "certificates"
    make_certificates(certificates, clients={"node": Role.API})
    ports = [free_port() for _ in range(3)]
    server = {
        "registry_port": ports[1], "registry_server_cert_file": certificates / "server.crt",
        "registry_server_key_file": certificates / "server.key", "registry_client_ca_file": certificates / "ca.crt",
    }  # fmt: skip
    node = {
        "registry_ca_file": certificates / "ca.crt", "registry_cert_file": certificates / "node.crt",
        "registry_key_file": certificates / "node.key",
    }  # fmt: skip
    started: list[Process] = []
    try:
        for name, command, port, connection, options in (
            ("direct", "serve", ports[0], database, {}),
            ("registry", "registry", ports[1], database, server),
            ("node", "serve", ports[2], f"registry+https://{HOST}:{ports[1]}", node),
        ):
            started.append(Process(place / name, command, port, connection, options))
            started[-1].wait()
        yield ports[0], ports[2], Address(HOST, ports[1]), certificates
    finally:
        for process in reversed(started):
            process.stop()


def requests(direct: Client, through: Client) -> str:
    """Show and list; returns the id of an image."""
    properties = {f"property_{number}": "value" for number in range(8)}
    document = {"name": "bench", "disk_format": "raw", "container_format": "bare", **properties}
    made = [str(json.loads(direct("POST", "/v2/images", document))["id"]) for _ in range(ON_PAGE)]
    show, page = f"/v2/images/{made[0]}", f"/v2/images?limit={ON_PAGE}"
    print(f"{'':<44} {'database':>11} {'registry':>11}")
    report("GET image", pairs(PAIRS, lambda: direct("GET", show), lambda: through("GET", show)))
    report(f"GET images, {ON_PAGE} of them", pairs(LISTS, lambda: direct("GET", page), lambda: through("GET", page)))
    patch = {"name": "bench", "disk_format": "raw", "container_format": "bare"}
    report("POST image", pairs(LISTS, lambda: direct("POST", "/v2/images", patch),
                               lambda: through("POST", "/v2/images", patch)))  # fmt: skip
    return made[0]


def clients(address: Address, certificates: Path, image_id: str) -> None:
    """The same call by the registry's own client and by general ones."""
    options = RegistryOptions(
        ca_file=certificates / "ca.crt", cert_file=certificates / "node.crt", key_file=certificates / "node.key"
    )
    database = RegistryDatabase((address,), options)
    context = ssl.create_default_context(cafile=str(options.ca_file))
    context.load_cert_chain(str(options.cert_file), str(options.key_file))
    body = _show_body(image_id)
    plain = http.client.HTTPSConnection(*address, context=context, timeout=30)

    def by_http_client() -> None:
        plain.request("POST", "/v1/get_image", body, {VERSION_HEADER: str(VERSION)})
        answer = plain.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{answer.status}")

    import httpx2  # noqa: PLC0415

    general = httpx2.Client(verify=context, base_url=f"https://{address}")

    def by_httpx() -> None:
        general.post("/v1/get_image", content=body, headers={VERSION_HEADER: str(VERSION)}).raise_for_status()

    print(f"\n{'':<44} {'own client':>11} {'other':>11}")
    own = lambda: database.get_image(image_id, ADMIN)  # noqa: E731
    report("get_image by http.client (not decoded)", pairs(CALLS, own, by_http_client))
    report("get_image by httpx2 (not decoded)", pairs(CALLS, own, by_httpx))
    database.close()
    plain.close()
    general.close()


def _show_body(image_id: str) -> bytes:
    from glimpse.registry.methods import METHODS  # noqa: PLC0415

    return METHODS["get_image"].encode_arguments({"image_id": image_id, "viewer": ADMIN})


def main() -> None:
    """Run all parts."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    place = Path(tempfile.mkdtemp(prefix="glimpse-bench-"))
    try:
        with running(place, sys.argv[1]) as (direct, through, address, certificates):
            print(f"load {os.getloadavg()[0]:.1f}, {PAIRS} pairs")
            image_id = requests(Client(direct), Client(through))
            clients(address, certificates, image_id)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
