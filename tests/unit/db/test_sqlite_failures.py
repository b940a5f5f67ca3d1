"""If SQLite cannot use its file, the error is one sentence, and the data are there again when it can."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from glimpse.db import schema
from glimpse.db.records import Viewer
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.domain.image import Image, ImageChange
from glimpse.errors import DatabaseUnavailable
from glimpse.settings.model import DatabaseSettings, Secret
from tests.contract.db.examples import image

ADMIN = Viewer(None, is_admin=True)


def opened(url: str) -> SqlDatabase:
    return SqlDatabase(connect(DatabaseSettings(connection=Secret(url), sqlite_synchronous=False)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with the schema, all of it in one file."""
    file = tmp_path / "g.sqlite"
    engine = connect(DatabaseSettings(connection=Secret(f"sqlite:///{file}"), sqlite_synchronous=False))
    schema.sync(engine)
    engine.dispose()
    return file


@pytest.fixture
def stored(path: Path) -> Image:
    """An image with much of everything, so that it lies on pages of its own."""
    database = opened(f"sqlite:///{path}")
    made = image(name="old", properties={f"property {number}": "x" * 500 for number in range(100)})
    database.create_image(made)
    database.close()
    return made


def test_a_disk_without_room(path: Path, stored: Image) -> None:
    engine = connect(DatabaseSettings(connection=Secret(f"sqlite:///{path}"), sqlite_synchronous=False))

    def limit(connection: Any, _record: object) -> None:
        # SQLite's own limit gives the error that a full disk gives
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")

    event.listen(engine, "connect", limit)
    database = SqlDatabase(engine)
    change = ImageChange(columns={"name": "new"}, set_properties={"long": "x" * 60_000})
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable, match="is full"):
            database.update_image(stored.id, change)
        found = database.get_image(stored.id, ADMIN)
        assert (found.name, found.properties) == ("old", stored.properties)
    event.remove(engine, "connect", limit)
    engine.dispose()
    database.update_image(stored.id, change)
    assert database.get_image(stored.id, ADMIN).properties["long"] == "x" * 60_000
    database.close()


def test_a_file_that_cannot_be_written(path: Path, stored: Image) -> None:
    database = opened(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(DatabaseUnavailable, match="accepts no changes at the moment"):
        database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    assert database.get_image(stored.id, ADMIN).name == "old"
    database.close()


def test_a_file_that_is_no_database(path: Path, stored: Image) -> None:
    content = path.read_bytes()
    path.write_bytes(b"this is a text\n" * 1000)
    database = opened(f"sqlite:///{path}")
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable, match="damaged"):
            database.get_image(stored.id, ADMIN)
        with pytest.raises(DatabaseUnavailable, match="damaged"):
            database.create_image(image())
    database.close()
    path.write_bytes(content)
    database = opened(f"sqlite:///{path}")
    assert database.get_image(stored.id, ADMIN).properties == stored.properties
    database.close()


def test_a_file_with_a_page_of_garbage(path: Path, stored: Image) -> None:
    with sqlite3.connect(path) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'image_properties'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xa5" * size
    path.write_bytes(content)
    database = opened(f"sqlite:///{path}")
    with pytest.raises(DatabaseUnavailable, match="damaged"):
        database.get_image(stored.id, ADMIN)
    with pytest.raises(DatabaseUnavailable, match="damaged"):
        database.update_image(stored.id, ImageChange(set_properties={"long": "x"}))
    # what does not need the page goes on
    assert database.count_jobs() == {}
    database.close()


def test_another_process_that_writes_for_too_long(path: Path, stored: Image) -> None:
    database = opened(f"sqlite:///{path}?timeout=0.05")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="busy with other changes"):
        database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    assert database.get_image(stored.id, ADMIN).name == "old"
    other.execute("ROLLBACK")
    database.update_image(stored.id, ImageChange(columns={"name": "new"}))
    assert database.get_image(stored.id, ADMIN).name == "new"
    other.close()
    database.close()
