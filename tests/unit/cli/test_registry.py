"""``glimpse registry``: errors at start are one line on standard error and exit code 1."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path

import pytest

from tests.support.private_ca import Pair, authority, unwanted
from tests.support.service import free_port, write_options
from tests.unit.cli.conftest import Glimpse


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return authority(tmp_path / "ca")


def options_in(place: Path, **changed: object) -> Path:
    """A configuration file that is complete, but for what is ``changed``; None leaves an option out."""
    own: dict[str, object] = {
        "registry_server_cert_file": place / "server.crt",
        "registry_server_key_file": place / "server.key",
        "registry_client_ca_file": place / "ca.crt",
    }
    values = {name: value for name, value in (own | changed).items() if value is not None}
    return write_options(place / "glimpse.conf", {"glimpse": values})


def refused(glimpse: Glimpse, *arguments: object) -> str:
    result = glimpse("registry", *arguments)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("Error: ")
    return result.stderr


def test_it_does_not_run_without_certificates(glimpse: Glimpse, tmp_path: Path) -> None:
    assert "needs certificates" in refused(glimpse)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("option", ["registry_server_cert_file", "registry_server_key_file", "registry_client_ca_file"])
def test_each_of_the_files_is_needed(glimpse: Glimpse, place: Path, option: str) -> None:
    assert option in refused(glimpse, "--config-file", options_in(place, **{option: None}))


def test_a_certificate_that_is_missing(glimpse: Glimpse, place: Path) -> None:
    message = refused(glimpse, "--config-file", options_in(place, registry_server_cert_file=place / "missing.crt"))
    assert f"The server certificate {place / 'missing.crt'} cannot be read: No such file or directory." in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_key_that_may_not_be_read(glimpse: Glimpse, place: Path) -> None:
    (place / "server.key").chmod(0)
    assert "server.key cannot be read: Permission denied." in refused(glimpse, "--config-file", options_in(place))


def test_a_key_that_cannot_be_read(glimpse: Glimpse, place: Path) -> None:
    assert "cannot be read: Is a directory." in refused(
        glimpse, "--config-file", options_in(place, registry_server_key_file=place)
    )


def test_a_certificate_that_has_expired(glimpse: Glimpse, place: Path) -> None:
    late: Pair = unwanted(place, "expired")
    changed = {"registry_server_cert_file": late.certificate, "registry_server_key_file": late.key}
    assert "has expired on" in refused(glimpse, "--config-file", options_in(place, **changed))


def test_a_registry_behind_a_registry(glimpse: Glimpse, place: Path) -> None:
    sections = {"database": {"connection": "registry+https://127.0.0.1:9191"}}
    file = write_options(place / "node.conf", sections)
    message = refused(glimpse, "--config-file", options_in(place), "--config-file", file)
    assert "`glimpse registry` needs the database itself" in message


def test_roles_that_do_not_exist(glimpse: Glimpse, place: Path) -> None:
    message = refused(glimpse, "--config-file", options_in(place, registry_roles="node:boss"))
    assert "[glimpse] registry_roles" in message
    assert "node:boss" in message


@pytest.mark.parametrize(("switch", "value"), [("--port", "70000"), ("--workers", "0"), ("--host", "")])
def test_a_switch_that_makes_no_sense(glimpse: Glimpse, place: Path, switch: str, value: str) -> None:
    assert f"({switch})" in refused(glimpse, "--config-file", options_in(place), switch, value)


def test_a_port_that_is_in_use(glimpse: Glimpse, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(glimpse, "--config-file", options_in(place), "--port", port)
    assert message == f"Error: Cannot listen on 127.0.0.1:{port}: the port is in use.\n"


def test_tables_that_are_not_ours(glimpse: Glimpse, place: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data" / "glimpse.sqlite") as database:
        database.execute("CREATE TABLE other (id INTEGER)")
    database.close()
    message = refused(glimpse, "--config-file", options_in(place))
    assert "The database has tables but no version" in message


def test_an_empty_database_gets_its_tables_as_with_serve(glimpse: Glimpse, place: Path, tmp_path: Path) -> None:
    # what comes after the tables cannot be done
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "metrics").write_text("a file")
    message = refused(glimpse, "--config-file", options_in(place, metrics_port=free_port()), "--port", free_port())
    assert "Metrics cannot be written" in message
    found = sqlite3.connect(tmp_path / "data" / "glimpse.sqlite")
    assert found.execute("SELECT count(*) FROM metadef_namespaces").fetchone()[0] > 0
    found.close()
