"""PostgreSQL and MariaDB use indexes too when the tables were analysed only when they were nearly empty.

A few thousand images are loaded, and the plan of every statement that common operations send is asked for. MariaDB is
also asked on tables that nobody analysed; PostgreSQL analyses new tables by itself within a minute or two, and reads
tables whole until then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from bench.catalogue import Catalogue
from bench.load import analyze, fill
from glimpse.db import schema
from glimpse.db.base import Database
from glimpse.db.base_records import Viewer
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect, engine_url
from glimpse.domain.image import ImageChange
from glimpse.domain.listing import Comparison, ListQuery
from tests.contract.db.backends import SERVERS, Server, available, settings_for

KINDS = [kind for kind in available() if kind in SERVERS]
#: When the tables were analysed.
STATISTICS = {"postgresql": ("loaded", "nearly empty"), "mysql": ("never", "nearly empty")}
#: Rows that MariaDB may read by an index on a flag: it has the primary key behind the flag, which finds one row.
FEW = 10
IMAGES = 6000
GROWING = ("images", "image_properties", "image_tags", "image_locations", "image_members")
ADMIN = Viewer(None, is_admin=True)

pytestmark = pytest.mark.skipif(not KINDS, reason="no variable names a database server")


def _without_statistics(engine: sa.Engine) -> None:
    """Keep the server from looking at the tables by itself."""
    with engine.begin() as connection:
        for table in GROWING:
            stop = (
                "SET (autovacuum_enabled = false)" if engine.dialect.name == "postgresql" else "STATS_AUTO_RECALC = 0"
            )
            connection.exec_driver_sql(f"ALTER TABLE {table} {stop}")


@pytest.fixture(scope="module", params=[(kind, when) for kind in KINDS for when in STATISTICS[kind]], ids=str)
def loaded(request: pytest.FixtureRequest, server: Callable[[str, str], Server]) -> Iterator[sa.Engine]:
    kind, when = request.param
    made = server(kind, f"plans_{when.replace(' ', '_')}")
    made.recreate()
    engine = connect(settings_for(made.url))
    schema.sync(engine)
    _without_statistics(engine)
    if when == "nearly empty":
        fill(engine_url(made.url), Catalogue(3))
        analyze(engine)
        with engine.begin() as connection:
            for table in reversed(GROWING):
                connection.exec_driver_sql(f"DELETE FROM {table}")
    fill(engine_url(made.url), Catalogue(IMAGES))
    if when == "loaded":
        analyze(engine)
    yield engine
    engine.dispose()
    made.recreate()


def _example(engine: sa.Engine) -> tuple[str, str]:
    """The id and the owner of some image of the project that has most of them."""
    with engine.connect() as connection:
        owner = connection.exec_driver_sql(
            "SELECT owner FROM images WHERE deleted = false GROUP BY owner ORDER BY count(*) DESC LIMIT 1"
        ).scalar_one()
        image_id = connection.execute(
            sa.text("SELECT id FROM images WHERE owner = :owner AND deleted = false ORDER BY id LIMIT 1"),
            {"owner": owner},
        ).scalar_one()
    return image_id, owner


def _operations(database: Database, image_id: str, owner: str) -> None:
    viewer = Viewer(owner, is_admin=False)
    named = (Comparison("name", "eq", "image-7"),)
    for who in (viewer, ADMIN, Viewer("a project without images", is_admin=False)):
        database.list_images(ListQuery(limit=25), who)
        database.list_images(ListQuery(limit=25, comparisons=named), who)
    database.get_image(image_id, viewer)
    database.list_members(image_id, viewer)
    database.update_image(image_id, ImageChange(set_properties={"p": "v"}, add_tags=("t",)))
    database.finish_delete(image_id, None)


def _faults(engine: sa.Engine, statement: str, parameters: Any) -> Iterator[str]:
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            [(plan,)] = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchall()
            yield from _faults_of_node((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        else:
            for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings():
                if row["table"] in GROWING and row["type"] == "ALL":
                    yield f"all of {row['table']} is read"
                if str(row["key"]).endswith("_deleted") and int(row["rows"]) > FEW:
                    yield f"{row['key']} leads to nearly all rows"


def _faults_of_node(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in GROWING:
        yield f"all of {node['Relation Name']} is read"
    if str(node.get("Index Name", "")).endswith("_deleted"):
        yield f"{node['Index Name']} leads to nearly all rows"
    for below in node.get("Plans", ()):
        yield from _faults_of_node(below)


def test_common_operations_use_indexes_whatever_was_analysed(loaded: sa.Engine) -> None:
    image_id, owner = _example(loaded)
    sent: dict[str, Any] = {}

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH", "(SELECT")):
            sent.setdefault(statement, parameters[0] if many else parameters)

    event.listen(loaded, "before_cursor_execute", record)
    try:
        with pytest.raises(Exception, match="has data by now"):  # the image has a location; nothing is changed
            _operations(SqlDatabase(loaded), image_id, owner)
    finally:
        event.remove(loaded, "before_cursor_execute", record)
    assert len(sent) >= 8
    found = [
        f"{fault}\n{statement}"
        for statement, parameters in sent.items()
        for fault in _faults(loaded, statement, parameters)
    ]
    assert found == []
