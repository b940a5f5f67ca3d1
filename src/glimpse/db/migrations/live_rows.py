"""Indexes that lists are read through: deleted rows are left out of them where the database has partial indexes, and
lie apart from the others where it has none."""

from __future__ import annotations

from collections.abc import Sequence

#: Kind of database → the condition of a partial index.
LIVE = {"postgresql": "NOT deleted", "sqlite": "deleted = 0"}


def columns_of_live_rows(dialect: str, columns: Sequence[str], equal: int = 1) -> list[str]:
    """The columns of an index for a kind of database, each once.

    The first ``equal`` of them are compared with one value by those who use it: behind these MySQL has the mark of
    deleted rows, so that none of them are in what is read in order.
    """
    found = list(dict.fromkeys(columns))
    if dialect == "mysql":
        found.insert(equal, "deleted")
    elif dialect == "sqlite":
        # without it SQLite would read the row for its sake
        found.append("deleted")
    return found
