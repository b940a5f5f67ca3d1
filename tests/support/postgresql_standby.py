"""A hot standby of a PostgreSQL server of :class:`tests.support.database_rig.DatabaseRig`."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import sqlalchemy as sa

from tests.support.database_rig import DatabaseRig
from tests.support.footprint import eventually
from tests.support.service import HOST, free_port

PROGRAMS = Path("/usr/lib/postgresql/15/bin")


def user_of_server() -> str:
    """Who runs PostgreSQL in the rigs: it refuses to run as root."""
    return "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name


def directory_for_server(prefix: str) -> Path:
    """A new directory that the server's user owns and can reach."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir="/var/tmp"))
    shutil.chown(path, user_of_server())
    return path


class Standby:
    """Follows a server and answers reads; ``with`` starts it and removes it."""

    def __init__(self, rig: DatabaseRig) -> None:
        self._rig = rig
        self.port = free_port()
        self._place = directory_for_server("glimpse-standby-")
        self._data = self._place / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Standby:
        main = sa.make_url(self._rig.database("standby"))
        environment = {**os.environ, "PGPASSWORD": main.password or ""}
        where = ["-h", HOST, "-p", str(main.port), "-U", main.username or ""]
        self._run("pg_basebackup", *where, "-D", str(self._data), "-R", "-X", "stream", "-c", "fast", env=environment)
        server = [
            *self._as_user(), str(PROGRAMS / "postgres"), "-D", str(self._data), "-p", str(self.port),
            "-c", f"listen_addresses={HOST}", "-c", "unix_socket_directories=", "-c", "shared_buffers=64MB",
            "-c", "max_connections=300", "-c", "fsync=off",
        ]  # fmt: skip
        with (self._place / "log").open("ab") as log:
            self._process = subprocess.Popen(server, stdout=log, stderr=log, cwd="/", start_new_session=True)
        assert eventually(self._answers, 60), (self._place / "log").read_text()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
        shutil.rmtree(self._place)

    def url(self, main: str) -> str:
        """The URL of the same database here."""
        return sa.make_url(main).set(host=HOST, port=self.port).render_as_string(hide_password=False)

    def promote(self) -> None:
        """Make it a server that takes changes."""
        self._run("pg_ctl", "promote", "-D", str(self._data), "-w")

    def _answers(self) -> bool:
        command = [str(PROGRAMS / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _as_user(self) -> list[str]:
        user = user_of_server()
        return ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if os.getuid() == 0 else []

    def _run(self, program: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        command = [*self._as_user(), str(PROGRAMS / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", timeout=120, check=False)
        assert done.returncode == 0, done.stderr
