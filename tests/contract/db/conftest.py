from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from glimpse.db.base import Database
from tests.contract.db.backends import (
    REGISTRY,
    SERVERS,
    Backend,
    Opener,
    Server,
    SqliteFiles,
    available,
    behind,
    through_registry,
)
from tests.support.registry import Registry, certificates
from tests.support.sqlite_plans import Plans

#: On SQLite it would be a twelfth of `make test`; the stages `sqlite` and `heavy` run it there.
LONG = "test_list_lanes.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name == LONG and "[sqlite" in item.name:
            item.add_marker(pytest.mark.heavy)


@pytest.fixture(scope="session")
def server(worker_id: str) -> Iterator[Callable[[str, str], Server]]:
    """By kind and name, a database of this test process on a server, removed at the end."""
    servers: dict[tuple[str, str], Server] = {}

    def of_kind(kind: str, name: str) -> Server:
        if (kind, name) not in servers:
            servers[kind, name] = Server(kind, os.environ[SERVERS[kind]], f"{name}_{worker_id}")
        return servers[kind, name]

    yield of_kind
    for made in servers.values():
        made.close()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry for the session: the database behind it changes from test to test."""
    made = Registry(certificates(tmp_path_factory.mktemp("registry") / "certificates"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def open_backend(
    tmp_path_factory: pytest.TempPathFactory, server: Callable[[str, str], Server], request: pytest.FixtureRequest
) -> Callable[[str], Opener]:
    """By kind, something that opens a database with the schema and no rows, set up once for the session."""
    openers: dict[str, Opener] = {}

    def of_kind(kind: str) -> Opener:
        if kind not in openers:
            if kind.startswith(REGISTRY):
                real = of_kind(kind.removeprefix(REGISTRY))
                openers[kind] = partial(behind, request.getfixturevalue("registry"), real)
            elif kind == "sqlite":
                openers[kind] = SqliteFiles(tmp_path_factory.mktemp("sqlite")).fresh
            else:
                made = server(kind, "contract")
                made.sync()
                openers[kind] = made.fresh
        return openers[kind]

    return of_kind


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plans]:
    made = Plans(tmp_path_factory.mktemp("plans"))
    yield made
    made.close()


@pytest.fixture(params=[*available(), *through_registry()])
def backend(request: pytest.FixtureRequest, open_backend: Callable[[str], Opener], tmp_path: Path) -> Iterator[Backend]:
    """A database without rows. On SQLite every statement that a test has it run is explained as well: whatever was
    analysed when, none of them may read all that there is."""
    with open_backend(request.param)(tmp_path) as opened:
        if opened.kind != "sqlite":
            yield opened
            return
        plans: Plans = request.getfixturevalue("plans")
        with plans.watched(opened.engine) as violations:
            yield opened
        assert violations == []


@pytest.fixture
def database(backend: Backend) -> Database:
    return backend.database


@pytest.fixture(params=available())
def bare(request: pytest.FixtureRequest, server: Callable[[str, str], Server], tmp_path: Path) -> Iterator[Backend]:
    """A database without any table."""
    kind: str = request.param
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'bare.sqlite'}"
    else:
        made = server(kind, "bare")
        made.recreate()
        url = made.url
    opened = Backend(kind, url)
    yield opened
    opened.database.close()
