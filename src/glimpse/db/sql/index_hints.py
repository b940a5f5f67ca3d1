"""Index hints for SQLite and MySQL, which would choose indexes by misleading statistics. PostgreSQL has no hints.

A hint is binding on SQLite, and on MySQL advice unless it is forced. Both refuse a statement that names a missing
index. So a statement without a fallback names only indexes of Glance's own schema.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from sqlalchemy import FromClause
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.sql.selectable import HasHints

SelectT = TypeVar("SelectT", bound=HasHints)


class Hint(Protocol):
    """Adds to a SELECT the index to use for a table."""

    def __call__(self, select: SelectT, table: FromClause, name: str, /) -> SelectT: ...


#: Name of the index of the primary key of ``images``.
PRIMARY = "PRIMARY"

# SQLite's name for the index of a primary key
_OF_PRIMARY_KEY = "sqlite_autoindex_{table}_1"


class IndexNamingCompiler(SQLiteCompiler):
    """SQLite's compiler with index hints, which SQLAlchemy's own leaves out."""

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:
        """Return the text to add after the name of a table."""
        del table
        return text


def use_index(select: SelectT, table: FromClause, name: str) -> SelectT:
    """Name the index for SQLite and, as advice, for MySQL."""
    return advise(order(select, table, name), table, name)


def force_index(select: SelectT, table: FromClause, name: str) -> SelectT:
    """Name the index for SQLite and MySQL; MySQL may not read the whole table instead, as it may with advice."""
    return order(select, table, name).with_hint(table, f"FORCE INDEX ({name})", "mysql")


def name_no_index(select: SelectT, _table: FromClause, _name: str) -> SelectT:
    """Return ``select`` without a hint."""
    return select


def advise(select: SelectT, table: FromClause, names: str) -> SelectT:
    """Name the indexes that MySQL may choose from, separated by commas."""
    return select.with_hint(table, f"USE INDEX ({names})", "mysql")


def order(select: SelectT, table: FromClause, name: str) -> SelectT:
    """Name the index that SQLite must use."""
    index = _OF_PRIMARY_KEY.format(table=getattr(table, "name", "")) if name == PRIMARY else name
    return select.with_hint(table, f"INDEXED BY {index}", "sqlite")
