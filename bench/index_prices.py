"""What each index of Glimpse on ``images`` costs a write: medians in microseconds.

    python -m bench.index_prices DIRECTORY|URL [IMAGES] [ROUNDS] [PATTERN]

In DIRECTORY it makes files of SQLite; URL is a database of a server, beside which it makes others. Each of them has a
table of images (default: 10,000) and other indexes: none of Glimpse, one, or all of them, as they were before revision
glimpse_008 and as they are now. The databases take turns for a block of each kind of write, so that whatever else the
machine does slows all of them. A price is the difference from the database without indexes. What a server does later
in other threads is not in it, nor are SQLite's checkpoints. PATTERN chooses among the rows of the report.
"""

from __future__ import annotations

import random
import re
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from bench.catalogue import END, Catalogue, Loaded
from bench.load import analyze, fill
from bench.processor import processor_clock
from glimpse.db import schema
from glimpse.db.migrations.online import drop_index_online, own_indexes
from glimpse.db.sql.engine import connect, engine_url
from glimpse.settings.model import DatabaseSettings, Secret

NONE = "none"
#: The last revision before most of the indexes were dropped.
BEFORE = "glimpse_007"
#: Writes of one kind that one database gets before the next one has its turn.
BLOCK = 25
ROUNDS = 12


class Write(NamedTuple):
    """A kind of write: a statement, as SQLAlchemy has it."""

    name: str
    sql: str


_UPDATE = "UPDATE images SET updated_at = :moment{} WHERE id = :id AND deleted = :no"
#: What operations send for the row of an image. A change of a property sets its time, and nothing else of that row.
UPDATES = (
    Write("status", _UPDATE.format(", status = :status")),
    Write("name", _UPDATE.format(", name = :name")),
    Write("property", _UPDATE.format("")),
    Write("delete", _UPDATE.format(", status = 'deleted', deleted = :yes, deleted_at = :moment")),
)
WRITES = ("create", *(write.name for write in UPDATES))


class Taken(NamedTuple):
    """Microseconds of one write, on the wall and of the database's processor; 0 where it does not tell."""

    wall: float
    processor: float


@lru_cache(maxsize=2)
class _Images(Catalogue):
    """The table of images alone: what indexes on it cost does not depend on the others."""

    def tables(self) -> Iterator[Loaded]:
        yield next(super().tables())


class Table:
    """One database with a table of images, which is written to."""

    def __init__(self, url: str) -> None:
        self._engine = engine = connect(DatabaseSettings(connection=Secret(url), sqlite_synchronous=False))
        # the same images are written to in each database of this size
        self._connection = connection = engine.connect()
        self._driver: Any = connection.connection.dbapi_connection
        self._clock = processor_clock(connection)
        statement = "SELECT id FROM images WHERE deleted = false ORDER BY id"
        self._ids = list(connection.exec_driver_sql(statement).scalars())
        self._random = random.Random(7)
        self._random.shuffle(self._ids)
        [created] = list(_Images(BLOCK * 40, seed=9).tables())
        self._columns = created.columns
        self._new = list(created.rows)
        self._random.shuffle(self._new)
        self._insert = _as_sent(engine, f"INSERT INTO images ({', '.join(created.columns)}) VALUES ({_named(created)})")
        self._updates = {write.name: _as_sent(engine, write.sql) for write in UPDATES}
        self._moment = END
        if engine.dialect.name == "sqlite":
            self._driver.execute("PRAGMA wal_autocheckpoint = 0")

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()
        self._engine.dispose()

    def block(self, write: str) -> Taken:
        """Write :data:`BLOCK` times, each time in a transaction of its own, and say what one of them took."""
        is_sqlite = self._engine.dialect.name == "sqlite"
        sent = [self._statement(write) for _ in range(BLOCK)]
        cursor = self._driver.cursor()
        clock = self._clock or (lambda: 0.0)
        wall, processor = time.perf_counter(), clock()
        for statement, parameters in sent:
            if is_sqlite:
                cursor.execute("BEGIN IMMEDIATE")
            cursor.execute(statement, parameters)
            if is_sqlite:
                cursor.execute("COMMIT")
        taken = Taken((time.perf_counter() - wall) / BLOCK * 1e6, (clock() - processor) / BLOCK * 1e6)
        if is_sqlite:
            # what a checkpoint takes would be found in some blocks and not in others
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return taken

    def _statement(self, write: str) -> tuple[str, Any]:
        self._moment += timedelta(seconds=1)
        if write == "create":
            row = dict(zip(self._columns, self._new.pop(), strict=True))
            row |= {"created_at": _text(self._moment), "deleted": False, "deleted_at": None}
            return self._filled(self._insert, row)
        values = {
            "id": self._ids.pop(),
            "moment": _text(self._moment),
            "no": False,
            "yes": True,
            "status": self._random.choice(("saving", "importing", "deactivated")),
            "name": f"renamed-{self._random.getrandbits(40):010x}",
        }
        return self._filled(self._updates[write], values)

    def _filled(self, statement: tuple[str, Sequence[str]], values: Mapping[str, Any]) -> tuple[str, Any]:
        sql, names = statement
        booleans = {"protected", "os_hidden"}
        return sql, tuple([bool(values[name]) if name in booleans else values[name] for name in names])


def load(url: str, size: int, revision: str) -> list[str]:
    """Make the tables as of a revision, fill the one of images, and return the names of its indexes."""
    with _connected(url) as engine:
        schema.sync(engine)
        config = Config()
        config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
        config.set_main_option("path_separator", "os")
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, revision)
        with engine.connect() as connection:
            names = [name for name, table in own_indexes(connection) if table == "images"]
        fill(engine_url(url), _Images(size))
        return names


def keep(url: str, names: Sequence[str]) -> None:
    """Drop all other indexes of Glimpse on the images of a database."""
    with _connected(url) as engine:
        with engine.connect() as connection:
            for name, table in own_indexes(connection):
                if table == "images" and name not in names:
                    drop_index_online(connection, name, table)
        analyze(engine)


def _named(loaded: Loaded) -> str:
    return ", ".join(f":{column}" for column in loaded.columns)


def _as_sent(engine: sa.Engine, sql: str) -> tuple[str, list[str]]:
    """A statement in the words of the driver, and the names of its parameters in their order."""
    mark = "?" if engine.dialect.name == "sqlite" else "%s"
    names: list[str] = []
    words: list[str] = []
    for word in sql.replace(",", " ,").replace("(", "( ").replace(")", " )").split():
        if word.startswith(":"):
            names.append(word[1:])
            words.append(mark)
        else:
            words.append(word)
    return " ".join(words), names


def _text(moment: datetime) -> str:
    return moment.isoformat(" ", timespec="microseconds")


def take_turns(tables: Mapping[str, Table], rounds: int) -> dict[str, dict[str, Taken]]:
    """By table and kind of write, the medians of the rounds."""
    taken: dict[tuple[str, str], list[Taken]] = {(name, write): [] for name in tables for write in WRITES}
    for number in range(rounds + 1):
        for write in WRITES:
            for name, table in tables.items():
                found = table.block(write)
                # the first round warms up
                if number:
                    taken[name, write].append(found)
    return {name: {write: _median(taken[name, write]) for write in WRITES} for name in tables}


def _median(taken: Sequence[Taken]) -> Taken:
    return Taken(*(statistics.median(column) for column in zip(*taken, strict=True)))


class Databases:
    """Where the databases are made, files or next to one of a server; they are removed at the end."""

    def __init__(self, place: str) -> None:
        self._admin = None
        if "://" in place:
            self._url = sa.make_url(place)
            self._admin = connect(DatabaseSettings(connection=Secret(place)))
        self._directory = Path(place)
        self._number = 0

    @contextmanager
    def loaded(self, size: int, revision: str) -> Iterator[tuple[str, list[str]]]:
        """A new one with images: its URL and its indexes."""
        with self._made("") as url:
            yield url, load(url, size, revision)

    @contextmanager
    def like(self, other: str, size: int, revision: str) -> Iterator[str]:
        """The URL of a copy of another one; on MySQL and MariaDB it is loaded anew."""
        name = "" if self._admin is None else sa.make_url(other).database
        with self._made(f" TEMPLATE {name}") as url:
            if self._admin is None:
                shutil.copyfile(other.removeprefix("sqlite:///"), url.removeprefix("sqlite:///"))
            elif self._admin.dialect.name == "mysql":
                load(url, size, revision)
            yield url

    @contextmanager
    def _made(self, template: str) -> Iterator[str]:
        self._number += 1
        name = f"index_prices_{self._number}"
        if self._admin is None:
            file = self._directory / f"{name}.sqlite"
            yield f"sqlite:///{file}"
            file.unlink()
            return
        is_mysql = self._admin.dialect.name == "mysql"
        self._run(f"CREATE DATABASE {name}" + (" CHARACTER SET utf8mb3" if is_mysql else template))
        try:
            yield self._url.set(database=name).render_as_string(hide_password=False)
        finally:
            self._run(f"DROP DATABASE {name}")

    def _run(self, sql: str) -> None:
        assert self._admin is not None
        with self._admin.connect() as connection:
            connection.exec_driver_sql(sql)


def measure(place: str, size: int, rounds: int, wanted: str) -> dict[str, dict[str, Taken]]:
    """Make the databases, and let them take turns. ``wanted``: a pattern of the names of their rows in the report."""
    databases = Databases(place)
    tables: dict[str, Table] = {}
    with ExitStack() as stack:
        for revision, when in ((BEFORE, "before"), (schema.OWN_REVISION, "now")):
            url, names = stack.enter_context(databases.loaded(size, revision))
            kept = {f"{name.removeprefix('glimpse_images_')}, {when}": [name] for name in names}
            kept[f"all {len(names)}, {when}"] = names
            if not tables:
                kept = {NONE: [], **kept}
            for name, indexes in kept.items():
                if name == NONE or re.search(wanted, name):
                    made = stack.enter_context(databases.like(url, size, revision))
                    keep(made, indexes)
                    tables[name] = stack.enter_context(closing(Table(made)))
        return take_turns(tables, rounds)


@contextmanager
def _connected(url: str) -> Iterator[sa.Engine]:
    engine = connect(DatabaseSettings(connection=Secret(url), sqlite_synchronous=False))
    try:
        yield engine
    finally:
        engine.dispose()


def report(found: Mapping[str, Mapping[str, Taken]]) -> Iterator[str]:
    """A table, line by line: what a write takes without any index, and how much more with each."""
    width = max(len(name) for name in found)
    yield f"{'CPU, wall (microseconds)':<{width}}" + "".join(f"{write:>14}" for write in WRITES)
    for name, by_write in found.items():
        cells: list[str] = []
        for write, taken in by_write.items():
            base = Taken(0, 0) if name == NONE else found[NONE][write]
            cells.append(f"{taken.processor - base.processor:>7.0f}{taken.wall - base.wall:>7.0f}")
        yield f"{name:<{width}}" + "".join(cells)


def main() -> None:
    """Measure, and print the table."""
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else ROUNDS
    wanted = sys.argv[4] if len(sys.argv) > 4 else ""
    for line in report(measure(sys.argv[1], size, rounds, wanted)):
        print(line)


if __name__ == "__main__":
    main()
