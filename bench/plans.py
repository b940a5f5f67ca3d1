"""What a statement reads: through which indexes, and how much, counted and not timed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

_READS = ("key", "next", "prev", "first", "last", "rnd_next")
_SQLITE_STEP = 100


class Reading(NamedTuple):
    """``amount`` counts rows and index entries on servers, and hundreds of instructions of its machine on SQLite.

    ``whole`` names the tables that are read without any index, or through all of one.
    """

    indexes: frozenset[str]
    amount: int
    whole: frozenset[str]

    def __add__(self, other: object) -> Reading:
        assert isinstance(other, Reading)
        return Reading(self.indexes | other.indexes, self.amount + other.amount, self.whole | other.whole)


NOTHING = Reading(frozenset(), 0, frozenset())


def reading(connection: sa.Connection, statement: str, parameters: Any) -> Reading:
    """Run a statement as the driver takes it, and see what it reads."""
    driver: Any = connection.connection.dbapi_connection
    return _READERS[connection.dialect.name](driver, statement, parameters)


def _postgresql(driver: Any, statement: str, parameters: Any) -> Reading:
    explained = driver.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters, prepare=False)
    found = NOTHING
    for node in _nodes(explained.fetchone()[0][0]["Plan"]):
        if not node["Node Type"].endswith("Scan") or node["Node Type"] == "Subquery Scan":
            continue
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        index = node.get("Index Name")
        found += Reading(
            frozenset({index} if index else ()),
            round((node["Actual Rows"] + removed) * node["Actual Loops"]),
            frozenset({node["Relation Name"]} if node["Node Type"] == "Seq Scan" else ()),
        )
    return found


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _mysql(driver: Any, statement: str, parameters: Any) -> Reading:
    cursor = driver.cursor()
    cursor.execute(f"EXPLAIN {statement}", parameters)
    columns = [column[0] for column in cursor.description]
    plan = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    real = [step for step in plan if step["table"] and not step["table"].startswith("<")]
    before = _handler(cursor)
    cursor.execute(statement, parameters)
    cursor.fetchall()
    amount = _handler(cursor) - before
    cursor.close()
    return Reading(
        frozenset(step["key"] for step in real if step["key"]),
        amount,
        frozenset(step["table"] for step in real if step["type"] == "ALL"),
    )


def _handler(cursor: Any) -> int:
    cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
    found = dict(cursor.fetchall())
    return sum(int(found[f"Handler_read_{kind}"]) for kind in _READS)


def _sqlite(driver: Any, statement: str, parameters: Any) -> Reading:
    lines = [str(row[3]) for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    driver.set_progress_handler(count, _SQLITE_STEP)
    try:
        driver.execute(statement, parameters).fetchall()
    finally:
        driver.set_progress_handler(None, 0)
    return Reading(
        frozenset(found[1] for line in lines if (found := re.search(r"INDEX (\w+)", line))),
        steps,
        frozenset(found[1] for line in lines if (found := re.match(r"SCAN (image\w*)", line))),
    )


_READERS = {"postgresql": _postgresql, "mysql": _mysql, "sqlite": _sqlite}
