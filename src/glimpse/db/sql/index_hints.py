"""Which index a statement is to use, said to the databases that would choose by misleading statistics.

SQLite takes it as an order, MySQL as advice unless it is forced. Both refuse a statement that names an index which is
not there, so only indexes of Glance's own schema are named where nothing else can be tried. PostgreSQL has no hints.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from sqlalchemy import FromClause
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.sql.selectable import HasHints

SelectT = TypeVar("SelectT", bound=HasHints)


class Hint(Protocol):
    """Says in a SELECT which index of a table to use."""

    def __call__(self, select: SelectT, table: FromClause, name: str, /) -> SelectT: ...


#: Of the primary key of ``images``.
PRIMARY = "PRIMARY"

# SQLite names the index of a primary key by the table
_OF_PRIMARY_KEY = "sqlite_autoindex_{table}_1"


class IndexNamingCompiler(SQLiteCompiler):
    """SQLite's compiler, which otherwise leaves hints out."""

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:
        """The words behind the name of a table."""
        del table
        return text


def use_index(select: SelectT, table: FromClause, name: str) -> SelectT:
    """Both are told."""
    return advise(order(select, table, name), table, name)


def force_index(select: SelectT, table: FromClause, name: str) -> SelectT:
    """Both are told, and MySQL is not to read the whole table instead, which advice lets it do."""
    return order(select, table, name).with_hint(table, f"FORCE INDEX ({name})", "mysql")


def name_no_index(select: SelectT, _table: FromClause, _name: str) -> SelectT:
    """Neither is told."""
    return select


def advise(select: SelectT, table: FromClause, names: str) -> SelectT:
    """MySQL is told the indexes among which it may choose, with commas in between."""
    return select.with_hint(table, f"USE INDEX ({names})", "mysql")


def order(select: SelectT, table: FromClause, name: str) -> SelectT:
    """SQLite is told the one index that it takes."""
    index = _OF_PRIMARY_KEY.format(table=getattr(table, "name", "")) if name == PRIMARY else name
    return select.with_hint(table, f"INDEXED BY {index}", "sqlite")
