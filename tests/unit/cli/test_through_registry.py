"""Commands on a node whose database is behind a registry."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.factory import open_database
from glimpse.domain.clock import now
from glimpse.domain.job import Job
from glimpse.errors import DatabaseUnavailable
from glimpse.registry.client import RegistryDatabase, wait_for_registry
from glimpse.registry.wire import Role
from tests.support.registry import Registry, certificates, client_options
from tests.support.service import write_options
from tests.support.wire import make_database, settings_in
from tests.unit.cli.conftest import Glimpse

ELSEWHERE = "This node uses the database through a registry. Run the command on the registry's host."


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqlDatabase]:
    settings = settings_in(tmp_path)
    make_database(settings)
    opened = open_database(settings.database)
    yield opened
    opened.close()


@pytest.fixture
def registry(tmp_path: Path, database: SqlDatabase) -> Iterator[Registry]:
    made = Registry(certificates(tmp_path / "certificates"))
    with made.in_front_of(database):
        yield made
    made.close()


def options(registry: Registry, name: str = "node", **changed: object) -> Path:
    """The configuration file of a node with the certificate of that name; None leaves an option out."""
    own: dict[str, object] = {
        "registry_ca_file": registry.directory / "ca.crt",
        "registry_cert_file": registry.directory / f"{name}.crt",
        "registry_key_file": registry.directory / f"{name}.key",
    }
    values = {option: value for option, value in (own | changed).items() if value is not None}
    database = {"connection": registry.url, "max_retries": 1, "retry_interval": 0.01}
    return write_options(registry.directory / f"{name}.conf", {"database": database, "glimpse": values})


@pytest.mark.parametrize("command", [("sync",), ("version",), ("check",), ("drop-extensions", "--yes")])
def test_commands_about_tables_belong_elsewhere(glimpse: Glimpse, registry: Registry, command: tuple[str, ...]) -> None:
    result = glimpse("db", *command, "--config-file", options(registry, "operator"))
    assert result.exit_code == 1
    assert result.stderr == f"Error: {ELSEWHERE}\n"
    assert registry.requests == []


def test_jobs(glimpse: Glimpse, registry: Registry, database: SqlDatabase) -> None:
    database.add_job(
        Job(id="job-1", type="location_check", input={"image_id": "image-1"}, created_at=now(), updated_at=now())
    )
    file = options(registry)
    listed = glimpse("jobs", "list", "--json", "--config-file", file)
    assert [job["id"] for job in json.loads(listed.stdout)] == ["job-1"]
    assert glimpse("jobs", "cancel", "job-1", "--config-file", file).stdout == "The job was asked to stop.\n"
    assert registry.calls == ["list_jobs", "cancel_job"]


def test_metadefs_are_loaded_by_operators_and_exported_by_everybody(
    glimpse: Glimpse, registry: Registry, tmp_path: Path
) -> None:
    loaded = glimpse("metadefs", "load", "--config-file", options(registry))
    assert loaded.exit_code == 1
    assert "The role api may not call load_namespace in the registry." in loaded.stderr
    assert glimpse("metadefs", "load", "--config-file", options(registry, "operator")).exit_code == 0
    assert glimpse("metadefs", "export", tmp_path / "out", "--config-file", options(registry)).exit_code == 0
    assert len(list((tmp_path / "out").glob("*.json"))) > 10


def test_purging_is_for_operators(glimpse: Glimpse, registry: Registry) -> None:
    assert glimpse("db", "purge", "--config-file", options(registry)).exit_code == 1
    purged = glimpse("db", "purge", "--config-file", options(registry, "operator"))
    assert purged.exit_code == 0, purged.output
    assert "purge_batch" in registry.calls


def test_a_registry_whose_database_is_not_ready(glimpse: Glimpse, registry: Registry, database: SqlDatabase) -> None:
    with registry.in_front_of(database, problem="The database has no tables."):
        for command in (("jobs", "list"), ("serve",), ("worker",)):
            result = glimpse(*command, "--config-file", options(registry))
            assert result.exit_code == 1
            assert "The registry's database cannot be used: The database has no tables." in result.stderr


@pytest.mark.parametrize("command", [("jobs", "list"), ("serve",), ("worker",)])
def test_a_registry_that_is_away(glimpse: Glimpse, registry: Registry, command: tuple[str, ...]) -> None:
    registry.close()
    result = glimpse(*command, "--config-file", options(registry))
    assert result.exit_code == 1
    assert f"The registry cannot be reached. (database {registry.url})" in result.stderr


def test_a_start_waits_for_a_registry_that_is_late(
    registry: Registry, database: SqlDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    client, port = registry.client("node"), registry.address.port
    registry.close()

    def start() -> None:
        late = Registry(registry.directory, port=port)
        with late.in_front_of(database):
            assert done.wait(60)
        late.close()

    done = threading.Event()
    thread = threading.Timer(0.2, start)
    thread.start()
    try:
        assert wait_for_registry(client, max_retries=-1, interval=0.05).role is Role.API
    finally:
        done.set()
        thread.join()
        client.close()
    assert "The registry does not answer; retrying in 0.05 seconds" in caplog.text


def test_a_start_does_not_wait_for_a_registry_that_refuses_it(registry: Registry, tmp_path: Path) -> None:
    stranger = RegistryDatabase((registry.address,), client_options(certificates(tmp_path / "other")))
    with pytest.raises(DatabaseUnavailable, match="certificate"):
        wait_for_registry(stranger, max_retries=-1, interval=60)
    stranger.close()


@pytest.mark.parametrize("command", [("config", "check"), ("serve",), ("jobs", "list"), ("worker",)])
def test_a_node_without_a_key(glimpse: Glimpse, registry: Registry, command: tuple[str, ...]) -> None:
    result = glimpse(*command, "--config-file", options(registry, registry_key_file=None))
    assert result.exit_code == 1
    assert result.stderr == "Error: A connection to a registry needs [glimpse] registry_key_file.\n"


def test_the_configuration_is_shown(glimpse: Glimpse, registry: Registry) -> None:
    file = options(registry, registry_timeout=12, registry_pool_size=3)
    assert glimpse("config", "check", "--config-file", file).exit_code == 0
    shown = glimpse("config", "show", "--config-file", file).stdout.splitlines()
    for line in (
        f"connection = {registry.url}",
        f"registry_ca_file = {registry.directory / 'ca.crt'}",
        "registry_timeout = 12.0",
        "registry_connect_timeout = 5.0",
        "registry_pool_size = 3",
    ):
        assert line in shown
    assert [request.path for request in registry.requests] == ["/v2/server_info"]


@pytest.mark.parametrize("rest", ["", "user:secret@host", "host:0", "host/path"])
def test_a_url_that_names_no_server(glimpse: Glimpse, tmp_path: Path, rest: str) -> None:
    file = write_options(tmp_path / "c.conf", {"database": {"connection": f"registry+https://{rest}"}})
    result = glimpse("config", "check", "--config-file", file)
    assert result.exit_code == 1
    assert "registry+https://HOST:PORT" in result.stderr
    assert "secret" not in result.stderr
