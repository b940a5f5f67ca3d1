"""Load a catalogue into a database, the way that each kind of it takes fastest.

    python -m bench.load URL [IMAGES]      (default: 200000)

The tables are created, and must be without rows.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO, Any, cast

import sqlalchemy as sa

from bench.catalogue import Catalogue, Loaded, Row
from glimpse.db import schema
from glimpse.db.sql.engine import connect, engine_url
from glimpse.settings.model import DatabaseSettings, Secret

SIZE = 200_000

_BLOCK = 5000
_LARGE_TABLES = ("images", "image_properties", "image_tags", "image_locations", "image_members")


def load(url: str, size: int) -> None:
    """Create the tables, fill them with a catalogue of ``size`` images and let the database look at them."""
    engine = connect(DatabaseSettings(connection=Secret(url), sqlite_synchronous=False))
    schema.sync(engine)
    fill(engine_url(url), Catalogue(size))
    analyze(engine)
    engine.dispose()


def fill(url: sa.URL, catalogue: Catalogue) -> None:
    """Load a catalogue into tables that are there, and let the database keep what it knows of them."""
    ways = {"sqlite": _fill_sqlite, "postgresql": _fill_postgresql, "mysql": _fill_mysql}
    ways[url.get_backend_name()](url, catalogue)


def analyze(engine: sa.Engine) -> None:
    """Let the planner know what the tables hold now."""
    statements = {
        "sqlite": ["ANALYZE"],
        "postgresql": [f"VACUUM (ANALYZE) {table}" for table in _LARGE_TABLES],
        "mysql": [f"ANALYZE TABLE {table}" for table in _LARGE_TABLES],
    }
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements[engine.dialect.name]:
            connection.exec_driver_sql(statement)


def _fill_sqlite(url: sa.URL, catalogue: Catalogue) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        driver = cast("Any", connection.connection.dbapi_connection)
        driver.execute("PRAGMA synchronous = OFF")
        driver.execute("PRAGMA cache_size = -256000")
        for loaded in catalogue.tables():
            places = ", ".join("?" for _ in loaded.columns)
            driver.executemany(f"INSERT INTO {_target(loaded)} VALUES ({places})", loaded.rows)
            driver.commit()
    engine.dispose()


def _fill_postgresql(url: sa.URL, catalogue: Catalogue) -> None:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        driver = cast("Any", connection.connection.dbapi_connection)
        for loaded in catalogue.tables():
            with driver.cursor() as cursor, cursor.copy(f"COPY {_target(loaded)} FROM STDIN") as copy:
                for block in _blocks(loaded.rows):
                    copy.write(block)
        driver.commit()
    engine.dispose()


def _fill_mysql(url: sa.URL, catalogue: Catalogue) -> None:
    engine = sa.create_engine(url, connect_args={"local_infile": True})
    with engine.connect() as connection, tempfile.NamedTemporaryFile("w", prefix="glimpse-bench-") as file:
        driver = cast("Any", connection.connection.dbapi_connection)
        cursor = driver.cursor()
        # the checks are those of rows that we have made ourselves; without them a new table is loaded in bulk
        cursor.execute("SET SESSION unique_checks = 0, foreign_key_checks = 0, time_zone = '+00:00'")
        for loaded in catalogue.tables():
            _rewrite(file, loaded)
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE {loaded.table} CHARACTER SET utf8mb3"
                f" ({', '.join(loaded.columns)})"
            )
            driver.commit()
    engine.dispose()


def _rewrite(file: IO[str], loaded: Loaded) -> None:
    file.seek(0)
    file.truncate()
    for block in _blocks(loaded.rows):
        file.write(block)
    file.flush()


def _target(loaded: Loaded) -> str:
    return f"{loaded.table} ({', '.join(loaded.columns)})"


def _blocks(rows: Iterator[Row]) -> Iterator[str]:
    # what COPY and LOAD DATA have in common; no value has a character that they would want to have escaped
    while block := list(itertools.islice(rows, _BLOCK)):
        yield "".join(["\t".join(["\\N" if value is None else str(value) for value in row]) + "\n" for row in block])


def main() -> None:
    """Load, and tell how long it took."""
    size = int(sys.argv[2]) if len(sys.argv) > 2 else SIZE
    start = time.perf_counter()
    load(sys.argv[1], size)
    print(f"{size} images in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
