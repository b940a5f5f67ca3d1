"""``glimpse db drop-extensions``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Glimpse

Conf = Callable[[str], Path]
OWN = "SELECT name FROM sqlite_master WHERE name LIKE '%glimpse%'"


@pytest.fixture
def made(glimpse: Glimpse, tmp_path: Path) -> Path:
    """An embedded database with all tables."""
    assert glimpse("db", "sync").exit_code == 0
    return tmp_path / "data" / "glimpse.sqlite"


def rows(file: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(statement).fetchall()


def test_away_and_back(glimpse: Glimpse, made: Path) -> None:
    dropped = glimpse("db", "drop-extensions", "--yes")
    assert dropped.exit_code == 0
    tables, indexes, end = dropped.output.splitlines()
    assert tables.startswith("Tables: glimpse_jobs, glimpse_projects, ")
    assert "glimpse_images_owner_created_at" in indexes
    assert end == "The database is a plain Glance database now."
    assert rows(made, OWN) == []
    assert glimpse("db", "version").output == "2024_1_contract01\n"
    again = glimpse("db", "drop-extensions", "--yes")
    assert (again.exit_code, again.output) == (0, "The database has no tables or indexes of Glimpse.\n")
    assert glimpse("db", "check").exit_code == 3
    assert glimpse("db", "sync").exit_code == 0
    assert glimpse("db", "check").exit_code == 0


def test_without_a_yes_nothing_is_dropped(glimpse: Glimpse, made: Path) -> None:
    asked = glimpse("db", "drop-extensions")
    assert asked.exit_code == 1
    assert "[y/N]" in asked.output
    assert rows(made, OWN)


def test_unfinished_work_has_to_be_given_up_by_name(glimpse: Glimpse, made: Path) -> None:
    rows(
        made,
        "INSERT INTO glimpse_jobs (id, type, status, input, message, steps, attempt, generation, cancel_requested,"
        " bytes_done, created_at, updated_at) VALUES ('an-upload', 'upload', 'running', '{}', '', '{}', 1, 1, 0, 0,"
        " '2026-11-22 10:00:00.000000', '2026-11-22 10:00:00.000000')",
    )
    refused = glimpse("db", "drop-extensions", "--yes")
    assert refused.exit_code == 1
    assert "To be lost: 1 job of the kind upload not ended: an-upload." in refused.output
    assert "There is unfinished work." in refused.stderr
    assert rows(made, OWN)
    assert glimpse("db", "drop-extensions", "--yes", "--force").exit_code == 0
    assert rows(made, OWN) == []


def test_a_database_that_is_not_there_is_not_made(glimpse: Glimpse, tmp_path: Path) -> None:
    missing = glimpse("db", "drop-extensions", "--yes")
    assert missing.exit_code == 1
    assert "no tables yet" in missing.stderr
    assert not (tmp_path / "data").exists()


def test_not_through_a_registry(glimpse: Glimpse, conf: Conf) -> None:
    file = conf(
        "[database]\nconnection = registry+https://registry.example\n"
        "[glimpse]\nregistry_ca_file = ca.pem\nregistry_cert_file = cert.pem\nregistry_key_file = key.pem\n"
    )
    refused = glimpse("db", "drop-extensions", "--yes", "--config-file", file)
    assert refused.exit_code == 1
    assert "Run the command on the registry's host." in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
