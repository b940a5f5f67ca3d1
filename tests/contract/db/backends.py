"""The databases for the contract tests: always SQLite, the others if an environment variable is set.

With GLIMPSE_TEST_THROUGH_REGISTRY=1 each is checked once more with a registry in between.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from glimpse.db import schema
from glimpse.db.base import Database
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.metadef_tables import glance_metadata
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.tables import alembic_version, image_members
from glimpse.domain.clock import now
from glimpse.settings.model import DatabaseSettings, Secret
from tests.support.registry import Registry, asked_for

#: Ids of tests begin with this where a registry is in between; the kind of the database follows.
REGISTRY = "registry-"

#: Kind → the variable with the URL of a database server; further databases are made next to the one it names.
SERVERS = {"postgresql": "GLIMPSE_TEST_POSTGRESQL_URL", "mysql": "GLIMPSE_TEST_MYSQL_URL"}


def settings_for(url: str) -> DatabaseSettings:
    """What the tests connect with: SQLite need not survive the machine here."""
    return DatabaseSettings(connection=Secret(url), sqlite_synchronous=False)


class Backend:
    """One database with the schema and no rows; ``engine`` looks past the protocol at the raw rows."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self.engine = connect(settings_for(url))
        self.database: Database = SqlDatabase(self.engine)
        #: whether ``database`` is a client of a registry; the engine never is
        self.remote = False

    def rows(self, table: sa.Table, **where: Any) -> list[dict[str, Any]]:
        """Rows in the order of their ids, as dictionaries."""
        statement = sa.select(table).order_by(*table.primary_key.columns)
        for column, value in where.items():
            statement = statement.where(table.c[column] == value)
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(statement)]

    def execute(self, statement: Any, parameters: Any = None) -> None:
        with self.engine.connect() as connection:
            connection.execute(statement, parameters)

    def share(self, image_id: str, project: str, status: str = "accepted", *, deleted: bool = False) -> None:
        """Insert a membership, as Glance or a later operation does."""
        moment = now().replace(microsecond=0)
        self.execute(
            sa.insert(image_members).values(
                image_id=image_id,
                member=project,
                can_share=False,
                status=status,
                created_at=moment,
                updated_at=moment,
                deleted_at=moment if deleted else None,
                deleted=deleted,
            )
        )

    def as_kept(self, moment: datetime) -> datetime:
        """A time as this database keeps it."""
        return moment.replace(microsecond=0) if self.kind == "mysql" else moment

    @contextmanager
    def counting(self) -> Iterator[list[str]]:
        """The statements run inside, BEGIN and COMMIT left out."""
        statements: list[str] = []

        def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        event.listen(self.engine, "before_cursor_execute", record)
        try:
            yield statements
        finally:
            event.remove(self.engine, "before_cursor_execute", record)


class SqliteFiles:
    """A new file for each test, copied from one that has the schema."""

    def __init__(self, directory: Path) -> None:
        self._template = directory / "template.sqlite"
        engine = connect(settings_for(f"sqlite:///{self._template}"))
        schema.sync(engine)
        engine.dispose()

    @contextmanager
    def fresh(self, directory: Path) -> Iterator[Backend]:
        path = directory / "glimpse.sqlite"
        shutil.copyfile(self._template, path)
        backend = Backend("sqlite", f"sqlite:///{path}")
        try:
            yield backend
        finally:
            backend.database.close()


class Server:
    """One database of our own on a server, emptied for each test."""

    def __init__(self, kind: str, url: str, name: str) -> None:
        self._kind = kind
        self._admin = connect(settings_for(url))
        server = sa.make_url(url)
        self._name = f"{server.database}_{name}"
        self.url = server.set(database=self._name).render_as_string(hide_password=False)
        self.recreate()

    def recreate(self) -> None:
        """Make the database anew, without tables."""
        self.drop()
        self._run(f"CREATE DATABASE {self._name}" + (" CHARACTER SET utf8mb3" if self._kind == "mysql" else ""))

    def sync(self) -> None:
        engine = connect(settings_for(self.url))
        schema.sync(engine)
        engine.dispose()

    def drop(self) -> None:
        self._run(f"DROP DATABASE IF EXISTS {self._name}")

    def close(self) -> None:
        self.drop()
        self._admin.dispose()

    def _run(self, sql: str) -> None:
        with self._admin.connect() as connection:
            connection.exec_driver_sql(sql)

    @contextmanager
    def fresh(self, _directory: Path) -> Iterator[Backend]:
        backend = Backend(self._kind, self.url)
        with backend.engine.connect() as connection:
            for table in reversed(glance_metadata.sorted_tables):
                if table is not alembic_version:
                    connection.execute(sa.delete(table))
            connection.execute(sa.delete(jobs))
        try:
            yield backend
        finally:
            backend.database.close()


def available() -> list[str]:
    """The kinds that the contract is checked on here; ``test_backends.py`` shows which are left out."""
    return ["sqlite", *(kind for kind, variable in SERVERS.items() if os.environ.get(variable))]


def through_registry() -> list[str]:
    """The kinds that are checked through a registry as well, as ids of tests: a stage of its own asks for that."""
    return [f"{REGISTRY}{kind}" for kind in available()] if asked_for() else []


@contextmanager
def behind(registry: Registry, opener: Opener, directory: Path) -> Iterator[Backend]:
    """A backend whose ``database`` is a client of ``registry``, which has the real one."""
    with opener(directory) as backend, registry.in_front_of(backend.database):
        real, backend.database = backend.database, registry.client()
        backend.remote = True
        try:
            yield backend
        finally:
            backend.database.close()
            backend.database = real


#: Opens a backend in a directory of the test.
Opener = Callable[[Path], AbstractContextManager[Backend]]


def only_on(kind: str) -> Any:
    """A mark for tests of one kind of database."""
    return pytest.mark.parametrize("backend", [known for known in available() if known == kind], indirect=True)


def directly() -> Any:
    """A mark for tests of what lies between the protocol and the database: no registry in between."""
    return pytest.mark.parametrize("backend", available(), indirect=True)


def needs(kind: str) -> None:
    """Skip a module of tests of one kind of server, once for all of them.

    :raises Skipped: no variable names one.
    """
    if kind not in available():
        pytest.skip(f"{SERVERS[kind]} names no server", allow_module_level=True)


def with_options(backend: Backend, parameters: str = "", **options: Any) -> sa.Engine:
    """Another engine on the same database: its URL with query parameters added, and options of ``[database]``."""
    url = backend.url + (("&" if "?" in backend.url else "?") + parameters if parameters else "")
    return connect(DatabaseSettings(connection=Secret(url), **options))
