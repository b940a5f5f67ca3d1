"""The plans that SQLite makes for statements of ``glimpse.db.sql``, whatever was analysed when.

SQLite plans by its statistics alone, never by what the tables hold. So a plan on a small database with certain
statistics is the plan on a large one that has the same.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from bench.load import load
from glimpse.db import schema
from glimpse.db.sql.engine import connect
from glimpse.settings.model import DatabaseSettings, Secret

# tables that grow with the number of images or with time; metadata definitions and leases of running work do not
_GROWING = r"(images|image_properties|image_tags|image_locations|image_members|tasks|task_info|glimpse_jobs)"
# not of tasks: most of their rows are marked, because tasks expire after two days
_ON_A_FLAG = re.compile(r"INDEX (?!ix_tasks_)(ix_\w+_deleted|os_hidden_image_idx) ")
_WHOLE = re.compile(rf"SCAN {_GROWING}\b(?P<index>.* INDEX)?")
# a purge, and the count of what it would remove, are meant for all rows that are marked as deleted
_PURGE = re.compile(r"deleted_at < \?")

# a condition that no row meets, seen before any is read
_NOTHING = "0 = 1"


class Plans:
    """The same schema with three kinds of statistics: none, of three images, and of a bounded look at many."""

    def __init__(self, directory: Path) -> None:
        self._seen: set[str] = set()
        urls = {name: f"sqlite:///{directory / name}.sqlite" for name in ("never", "nearly empty", "bounded")}
        engine = connect(DatabaseSettings(connection=Secret(urls["never"]), sqlite_synchronous=False))
        schema.sync(engine)
        engine.dispose()
        load(urls["nearly empty"], 3)
        load(urls["bounded"], 2000)
        self._analysed = {name: sqlite3.connect(directory / f"{name}.sqlite", check_same_thread=False) for name in urls}
        bounded = self._analysed["bounded"]
        bounded.execute("DELETE FROM sqlite_stat1")
        bounded.execute("PRAGMA analysis_limit = 100")
        bounded.execute("ANALYZE")

    def close(self) -> None:
        for connection in self._analysed.values():
            connection.close()

    def violations(self, statement: str, parameters: Any) -> Iterator[str]:
        """What is wrong with the plan of a statement; of one that was asked for before nothing is said again."""
        if statement in self._seen or not statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            return
        self._seen.add(statement)
        for name, connection in self._analysed.items():
            lines = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for fault in filter(None, (_fault(line, statement) for line in lines)):
                yield f"statistics: {name}: {fault}\n{statement}\n" + "\n".join(lines)

    @contextmanager
    def watched(self, engine: sa.Engine) -> Iterator[list[str]]:
        """What is wrong with the plans of the statements that ``glimpse.db.sql`` sends meanwhile."""
        found: list[str] = []
        sent: dict[str, Any] = {}

        def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
            if statement not in sent and statement not in self._seen and _is_ours(sys._getframe(1)):
                sent[statement] = parameters[0] if many else parameters

        event.listen(engine, "before_cursor_execute", record)
        try:
            yield found
        finally:
            event.remove(engine, "before_cursor_execute", record)
        for statement, parameters in sent.items():
            found += self.violations(statement, parameters)


def _is_ours(frame: FrameType | None) -> bool:
    while frame is not None:
        module: str = frame.f_globals["__name__"]
        if not module.startswith("sqlalchemy."):
            return module.startswith("glimpse.db.sql.")
        frame = frame.f_back
    return False


def _fault(line: str, statement: str) -> str | None:
    if _PURGE.search(statement) or _NOTHING in statement:
        return None
    if found := _ON_A_FLAG.search(line):
        return f"{found[1]} leads to nearly all rows"
    if (found := _WHOLE.match(line)) and (not found["index"] or "LIMIT" not in statement):
        return f"all of {found[1]} is read"
    return None
