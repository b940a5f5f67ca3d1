"""From the operator's options to connections."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from glimpse.db import schema
from glimpse.db.records import Viewer
from glimpse.db.sql import engine as engine_module
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect, engine_url
from glimpse.errors import DatabaseUnavailable, Invalid
from glimpse.settings.model import DatabaseSettings, Secret


def settings_of(url: str, **options: Any) -> DatabaseSettings:
    return DatabaseSettings(connection=Secret(url), **options)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg2://u:p@h:5433/d?sslmode=require", "postgresql+psycopg://u:p@h:5433/d?sslmode=require"),
        ("mysql://u:p@h/d?charset=utf8", "mysql+pymysql://u:p@h/d?charset=utf8"),
        ("mysql+mysqldb://u:p@h/d", "mysql+pymysql://u:p@h/d"),
        ("mysql+pymysql://u:p@h/d?charset=utf8&ssl_ca=/ca", "mysql+pymysql://u:p@h/d?charset=utf8&ssl_ca=/ca"),
        ("mariadb+pymysql://u:p@h/d", "mysql+pymysql://u:p@h/d"),
        ("sqlite:////var/lib/g.sqlite", "sqlite:////var/lib/g.sqlite"),
        ("mysql://u:p%40%2F@h/d", "mysql+pymysql://u:p%40%2F@h/d"),
    ],
)
def test_urls_of_operators(given: str, expected: str) -> None:
    assert engine_url(given) == sa.make_url(expected)


@pytest.mark.parametrize(
    "given", ["", "nonsense", "secret", "oracle://u:secret@h/d", "sqlite://", "sqlite:///:memory:",
              "sqlite:///file:x?mode=memory&uri=true"]
)  # fmt: skip
def test_urls_that_are_refused(given: str) -> None:
    with pytest.raises(Invalid) as refused:
        engine_url(given)
    assert "secret" not in str(refused.value)


def pragma(engine: sa.Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


@pytest.mark.parametrize(("option", "synchronous"), [(True, 2), (False, 1)])
def test_what_sqlite_is_told(tmp_path: Path, option: bool, synchronous: int) -> None:
    engine = connect(settings_of(f"sqlite:///{tmp_path / 'g.sqlite'}", sqlite_synchronous=option))
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "foreign_keys") == 1
    assert pragma(engine, "busy_timeout") == 30000
    assert pragma(engine, "synchronous") == synchronous
    engine.dispose()


def test_the_pool_is_the_operators(tmp_path: Path) -> None:
    options = {"max_pool_size": 1, "max_overflow": 0, "pool_timeout": 0}
    engine = connect(settings_of(f"sqlite:///{tmp_path / 'g.sqlite'}", **options))
    schema.sync(engine)
    database = SqlDatabase(engine)
    with engine.connect(), pytest.raises(DatabaseUnavailable, match="in use"):
        database.count_jobs()
    assert database.count_jobs() == {}
    database.close()


@pytest.mark.parametrize("url", ["postgresql://u:secret@127.0.0.1:1/d", "mysql://u:secret@127.0.0.1:1/d"])
def test_a_server_that_does_not_answer(url: str) -> None:
    database = SqlDatabase(connect(settings_of(url)))
    with pytest.raises(DatabaseUnavailable) as failed:
        database.get_image("5a8c8a04-e47f-4982-86ad-59b3a4cc524a", Viewer(None))
    assert "secret" not in str(failed.value)
    database.close()


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    engine = connect(settings_of(f"sqlite:///{tmp_path / 'no' / 'such' / 'g.sqlite'}"))
    with pytest.raises(DatabaseUnavailable):
        schema.check(engine)
    engine.dispose()


def test_a_database_that_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "SQLITE_BUSY_TIMEOUT", 0.05)
    path = tmp_path / "g.sqlite"
    engine = connect(settings_of(f"sqlite:///{path}"))
    schema.sync(engine)
    database = SqlDatabase(engine)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable):
        database.delete_without_data("5a8c8a04-e47f-4982-86ad-59b3a4cc524a")
    assert database.count_jobs() == {}
    other.close()
    database.close()
