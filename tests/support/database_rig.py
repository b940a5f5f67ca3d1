"""A database server of the test's own, made by the scripts of dev/rigs, which may be stopped and killed."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support.needs import unavailable
from tests.support.service import free_port

#: Kind of database → the name of its server in the rig.
SERVERS = {"postgresql": "postgresql", "mysql": "mariadb"}
_PORTS = {"postgresql": "RIG_PG_PORT", "mysql": "RIG_MARIADB_PORT"}
_SECONDS = 300


def rigs() -> tuple[Path, Path]:
    """The directory of the scripts and that of what they write; skips the test, or fails it, without them."""
    scripts, place = os.environ.get("GLIMPSE_TEST_RIGS"), os.environ.get("RIG_DIR")
    if not scripts or not place:
        unavailable("GLIMPSE_TEST_RIGS and RIG_DIR name no rigs")
    return Path(scripts), Path(place)


class DatabaseRig:
    """One server in a directory of its own below that of the rigs; ``with`` starts it and removes all of it."""

    def __init__(self, kind: str, name: str, **environment: str) -> None:
        """``environment`` are further variables of ``db-up``."""
        scripts, place = rigs()
        self.kind = kind
        self.port = free_port()
        self.directory = place / name
        self._scripts = scripts
        self._environment = {
            **os.environ, "RIG_DIR": str(self.directory), _PORTS[kind]: str(self.port), "RIG_DB_MEMORY_MB": "64",
            **environment,
        }  # fmt: skip

    def __enter__(self) -> DatabaseRig:
        self._run("db-down", "--purge")
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self._run("db-down", "--purge")
        # its log stays beside it
        shutil.rmtree(self.directory)

    @property
    def pid(self) -> int:
        """The server's process, the leader of its group."""
        path = self.directory / "db" / "run" / f"{SERVERS[self.kind]}.pid"
        return int(path.read_text().split()[0])

    def up(self) -> None:
        """Start the server and wait until it answers; with what it had when it ended, however it did."""
        self._run("db-up", SERVERS[self.kind])

    def down(self) -> None:
        """End it orderly."""
        self._run("db-down", SERVERS[self.kind])

    def kill(self) -> None:
        """SIGKILL to the server and all its processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def database(self, name: str) -> str:
        """The URL of a new, empty database."""
        return self._run("make-database", self.kind, name, "--fresh").strip()

    def _run(self, script: str, *arguments: str) -> str:
        command = [str(self._scripts / script), *arguments]
        # the servers keep what they inherit: a pipe would never end
        errors = self.directory.with_suffix(".log")
        errors.parent.mkdir(parents=True, exist_ok=True)
        output = self.directory.with_suffix(".out")
        with errors.open("ab") as log, output.open("wb") as out:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=self._environment, check=False,
                timeout=_SECONDS,
            )  # fmt: skip
        assert done.returncode == 0, f"{shlex.join(command)} failed:\n{errors.read_text()[-3000:]}"
        return output.read_text()
