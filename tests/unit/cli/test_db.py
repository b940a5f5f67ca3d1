"""``glimpse db``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from tests.unit.cli.conftest import Glimpse

Conf = Callable[[str], Path]


def test_from_nothing_to_up_to_date(glimpse: Glimpse, tmp_path: Path) -> None:
    missing = glimpse("db", "check")
    assert missing.exit_code == 3
    assert "no tables yet" in missing.output
    assert "no tables yet" in glimpse("db", "version").output
    assert not (tmp_path / "data").exists()

    created = glimpse("db", "sync")
    assert (created.exit_code, created.output) == (0, "The tables were created.\n")
    assert (tmp_path / "data" / "glimpse.sqlite").is_file()

    again = glimpse("db", "sync")
    assert (again.exit_code, again.output) == (0, "The database is up to date.\n")
    assert glimpse("db", "check").exit_code == 0
    assert glimpse("db", "version").output.splitlines()[0] == "2024_1_contract01"


def test_a_database_that_is_something_else(glimpse: Glimpse, conf: Conf, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
        other.execute("INSERT INTO alembic_version VALUES ('pike_expand01')")
    other.close()
    file = conf(f"[database]\nconnection = sqlite:///{tmp_path / 'other.sqlite'}\n")
    checked = glimpse("db", "check", "--config-file", file)
    assert checked.exit_code == 1
    synced = glimpse("db", "sync", "--config-file", file)
    assert synced.exit_code == 1
    assert len(synced.stderr.splitlines()) == 1
    assert glimpse("db", "version", "--config-file", file).output == "pike_expand01\n"


def test_an_unreachable_database(glimpse: Glimpse, conf: Conf) -> None:
    file = conf("[database]\nconnection = postgresql://glance:DBPASS@127.0.0.1:1/glance\nmax_retries = 0\n")
    for command in ("check", "version", "sync"):
        result = glimpse("db", command, "--config-file", file)
        assert result.exit_code == 1
        assert "postgresql://glance:***@127.0.0.1:1/glance" in result.stderr
        assert "Connection refused" in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert "DBPASS" not in result.output


def test_a_database_of_an_unknown_kind(glimpse: Glimpse, conf: Conf) -> None:
    result = glimpse("db", "check", "--config-file", conf("[database]\nconnection = oracle://glance:DBPASS@h/x\n"))
    assert result.exit_code == 1
    assert "oracle" in result.stderr
    assert "DBPASS" not in result.output


def test_a_data_directory_that_cannot_be_made(glimpse: Glimpse, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    result = glimpse("db", "sync")
    assert result.exit_code == 1
    assert f"The data directory {tmp_path / 'data'} cannot be created" in result.stderr
