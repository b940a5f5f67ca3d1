"""Glimpse and a real Glance on the same kind of store, each with a configuration that ``dev/rigs/glance-conf`` writes.

The scripts of ``dev/rigs`` start servers in ``RIG_DIR``, with the ports that the environment sets.
"""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from keystoneauth1.identity import V3Password
from keystoneauth1.session import Session

from bench.process_tree import ProcessTree
from bench.store_report import GLANCE, GLIMPSE
from bench.transfers import Client
from glimpse.db.sql.engine import connect
from glimpse.settings.model import DatabaseSettings, Secret

HOST = "127.0.0.1"
RIGS = Path(__file__).resolve().parent.parent / "dev" / "rigs"
COMMAND = Path(sys.executable).with_name("glimpse")
_START_SECONDS = 120
#: Variables with the URL of a server of each kind, which ``db-up`` sets.
_SERVERS = {"mysql": "RIG_MYSQL_URL", "postgresql": "RIG_POSTGRESQL_URL"}


@dataclass(frozen=True)
class Setup:
    """What both services have: the file with the options of their store (None: a filesystem store), the kind of their
    database, worker processes, more environment, and ``auth`` as ``glance-conf`` has it. ``named``: without a file, two
    filesystem stores with names.
    """

    stores: Path | None
    db: str
    workers: int
    environment: dict[str, str]
    auth: str
    named: bool = False

    @property
    def arguments(self) -> list[str]:
        """The arguments of ``glance-conf``."""
        stores = [] if self.stores is None else ["--stores", str(self.stores)]
        return ["--auth", self.auth, "--db", self.db, *stores, *(["--store", "multi"] if self.named else [])]


@dataclass(frozen=True)
class Target:
    """A running service."""

    name: str
    client: Client
    processes: ProcessTree


def run_rig(program: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """Run a script of ``dev/rigs`` and return what it prints; a failure ends the benchmark."""
    command = [str(RIGS / program), *arguments]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if ended.returncode:
        raise SystemExit(f"{program} ended with {ended.returncode}")
    return ended.stdout


def request_headers(auth: str) -> dict[str, str]:
    """Return the headers of requests: a new token of a member of a project, or none."""
    if auth == "none":
        return {}
    login = V3Password(
        os.environ["RIG_KEYSTONE_URL"], username="demo", password=os.environ["RIG_KEYSTONE_PASSWORD"],
        project_name="demo", user_domain_id="default", project_domain_id="default",
    )  # fmt: skip
    return {"X-Auth-Token": str(login.get_token(Session()))}


def need_virtual_environment(name: str) -> None:
    """Have the virtual environment of ``dev/rigs/requirements/NAME.txt``."""
    command = f". {shlex.quote(str(RIGS / 'lib.sh'))}; rig bench; venv_need {name}"
    subprocess.run(["bash", "-c", command], check=True)


def rig_directory() -> Path:
    """Return the directory of the rigs."""
    return Path(os.environ.get("RIG_DIR", Path.home() / ".rig"))


def rig_settings(name: str) -> dict[str, str]:
    """Return what a rig that runs tells its clients."""
    lines = (rig_directory() / name / "env").read_text().splitlines()
    words = [shlex.split(line) for line in lines if line.startswith("export ")]
    return {name: value for line in words for name, _, value in (word.partition("=") for word in line[1:])}


@contextlib.contextmanager
def started(rigs: Sequence[str]) -> Iterator[None]:
    """Have these rigs running, each a name with arguments; those that did not run before are stopped at the end."""
    words = [rig.split() for rig in rigs]
    stopped = [name for name, *_ in words if not _runs(name)]
    try:
        for name, *arguments in words:
            run_rig(f"{name}-up", *arguments)
            os.environ.update(rig_settings(name))
        yield
    finally:
        for name in reversed(stopped):
            run_rig(f"{name}-down")


def _runs(name: str) -> bool:
    for file in (rig_directory() / name / "run").glob("*.pid"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            os.kill(int(file.read_text().split()[0]), 0)
            return True
    return False


def free_port() -> int:
    """Return a port that nobody listens on, outside the range of outgoing connections."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


@contextlib.contextmanager
def glance(setup: Setup) -> Iterator[Target]:
    """A real Glance under uWSGI, as its guide recommends."""
    port, processes = free_port(), ProcessTree("glance")
    words = ["--port", str(port), *setup.arguments, "--fresh", "--workers", str(setup.workers)]
    try:
        run_rig("glance-up", *words, environment=processes.environment(setup.environment))
        yield Target(GLANCE, Client(f"http://{HOST}:{port}"), processes)
    finally:
        _remove(port, setup.db)


@contextlib.contextmanager
def glimpse(setup: Setup, place: Path) -> Iterator[tuple[Target, Path]]:
    """``glimpse serve`` on a configuration of Glance; also yields the path of the configuration file."""
    port, processes = free_port(), ProcessTree("glimpse")
    words = ["--port", str(port), *setup.arguments, "--fresh"]
    configuration = Path(run_rig("glance-conf", *words).strip()) / "glance-api.conf"
    files = [configuration, configuration.with_name("glance-image-import.conf")]
    options = [*(word for file in files for word in ("--config-file", str(file))), "--data-dir", str(place / "data")]
    address = ["--host", HOST, "--port", str(port), "--workers", str(setup.workers)]
    try:
        subprocess.run([COMMAND, "db", "sync", "--config-file", str(configuration)], check=True, stdout=sys.stderr)
        with (place / "glimpse.log").open("wb") as log:
            service = subprocess.Popen(
                [COMMAND, "serve", *options, *address],
                stdout=log, stderr=log, start_new_session=True, env=processes.environment(setup.environment),
            )  # fmt: skip
        try:
            _wait_for(port, service, place / "glimpse.log")
            yield Target(GLIMPSE, Client(f"http://{HOST}:{port}"), processes), configuration
        finally:
            _end(service)
    finally:
        _remove(port, setup.db)


def _remove(port: int, db: str) -> None:
    """Remove the service of this port with its database."""
    run_rig("glance-down", "--port", str(port), "--purge")
    engine = connect(DatabaseSettings(connection=Secret(os.environ[_SERVERS[db]])))
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS glance_{port}")
    engine.dispose()


def _wait_for(port: int, service: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and service.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.2)
    raise SystemExit(f"Glimpse does not start:\n{log.read_text()}")


def _end(service: subprocess.Popen[bytes]) -> None:
    service.terminate()
    try:
        service.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(service.pid, signal.SIGKILL)
        service.wait()
