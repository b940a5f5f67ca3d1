"""One installation that a real Glance and Glimpse serve in turn: the same configuration, database and stores."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from glimpse.db.sql.engine import connect
from glimpse.settings.model import DatabaseSettings, Secret
from tests.support.needs import unavailable
from tests.support.raw_http import Answer, Api
from tests.support.service import HOST, Service, clean_environment, free_port, run_to_the_end

#: The kinds of ``glance-conf --db``, and the servers that must run for them.
KINDS = {"sqlite": None, "postgresql": "GLIMPSE_TEST_POSTGRESQL_URL", "mysql": "GLIMPSE_TEST_MYSQL_URL"}


class Installation:
    """A configuration directory that ``glance-conf`` writes, with an empty database.

    Requests carry ``token``, of the Keystone that runs; without one the services have auth ``none``.
    """

    def __init__(self, kind: str, arguments: Sequence[str] = (), *, token: str | None = None) -> None:
        self.kind = kind
        self.port = free_port()
        auth = "keystone" if token else "none"
        self._arguments = ("--auth", auth, "--db", kind, "--port", str(self.port), *arguments)
        self._api = Api(self.port, {"X-Auth-Token": token} if token else None)
        self.etc = Path(self._rig("glance-conf", *self._arguments, "--fresh").strip())
        self.conf = self.etc / "glance-api.conf"
        values = (line.split("=", 1) for line in (self.etc / "rig.env").read_text().split() if "=" in line)
        self.database_url = dict(values)["DATABASE_URL"].strip("'")

    def remove(self) -> None:
        """Stop what runs, and remove database, data and logs."""
        self._rig("glance-down", "--port", str(self.port), "--purge")
        variable = KINDS[self.kind]
        if variable is not None:
            engine = _engine(os.environ[variable])
            with engine.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE glance_{self.port}")
            engine.dispose()

    @property
    def data(self) -> Path:
        """The directory of all filesystem stores."""
        return self.etc.parent / "data"

    @contextmanager
    def engine(self) -> Iterator[sa.Engine]:
        """Its database, looked at directly."""
        engine = _engine(self.database_url)
        try:
            yield engine
        finally:
            engine.dispose()

    def make_tables(self, *steps: str, metadefs: bool = False) -> None:
        """Have ``glance-manage`` do it, as far as ``steps`` go, and load the definitions that come with Glance."""
        chosen = [argument for step in steps for argument in ("--step", step)]
        self._rig("glance-db-sync", *self._arguments, *chosen, *(["--metadefs"] if metadefs else []))

    @contextmanager
    def glance(self) -> Iterator[Api]:
        """A real Glance, on the database as it is."""
        self._rig("glance-up", *self._arguments, "--no-sync")
        try:
            yield self._api
        finally:
            self._rig("glance-down", "--port", str(self.port))

    @contextmanager
    def glimpse(self, place: Path, environment: Mapping[str, str] | None = None) -> Iterator[Api]:
        """``glimpse serve`` on Glance's configuration file."""
        address = {"DEFAULT": {"bind_host": HOST, "bind_port": self.port}}
        arguments = ("--config-file", str(self.conf), "--data-dir", str(place / "data"))
        with Service(
            place,
            options=address,
            arguments=arguments,
            environment=environment,
            port=self.port,
            workers=2,
            from_options_only=True,
        ):
            yield self._api

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ``glimpse`` on the configuration file."""
        return run_to_the_end([*words, "--config-file", str(self.conf)])

    def ok(self, *words: str) -> str:
        """Run a command that must succeed; returns its output."""
        ended = self.command(*words)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def _rig(self, program: str, *arguments: str) -> str:
        ended = subprocess.run(
            [str(rigs() / program), *arguments], capture_output=True, text=True, check=False, env=clean_environment()
        )
        assert ended.returncode == 0, f"{program} ended with {ended.returncode}:\n{ended.stderr}"
        return ended.stdout


def rigs() -> Path:
    """The directory of the rigs; without it the test ends here."""
    place = os.environ.get("GLIMPSE_TEST_RIGS")
    if not place:
        unavailable("GLIMPSE_TEST_RIGS names no directory with rigs: run `dev/services schema`")
    return Path(place)


@contextmanager
def installation(kind: str, arguments: Sequence[str] = (), *, token: str | None = None) -> Iterator[Installation]:
    """An installation for the time of the block; ``arguments`` are those of ``glance-conf``."""
    rigs()
    variable = KINDS[kind]
    if variable is not None and not os.environ.get(variable):
        unavailable(f"{variable} names no database server: run `dev/services schema`")
    made = Installation(kind, arguments, token=token)
    try:
        yield made
    finally:
        made.remove()


def send(api: Api, method: str, path: str, document: object = None, *, expect: int) -> Answer:
    """A request with a JSON document; its answer must have the status."""
    body = None if document is None else json.dumps(document).encode()
    answer = api.call(method, path, body, {"Content-Type": "application/json"} if body else None)
    assert answer.status == expect, (method, path, answer.status, answer.text)
    return answer


def _engine(url: str) -> sa.Engine:
    return connect(DatabaseSettings(connection=Secret(url)))
