"""What most rows are, or few, said in a way that pins the plans of SQLite: live, shown, of a visibility.

Glance's tables have indexes on ``deleted`` and ``os_hidden`` alone. Without statistics SQLite takes a row of these for
as rare as one of any other index, and with those of an ``ANALYZE`` of the first rows, or of a bounded one, for whatever
was there: then a show walks through the properties of all images. A plus before the column keeps it from the index;
``likelihood`` tells how many rows there are, whatever was analysed when. The servers know it from their statistics.
"""

from __future__ import annotations

from typing import Any, Self, cast

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType

# most, so that no index is worth it; about half; and few
_MOST = 0.9375
_HALF = 0.5
_FEW = 0.0625


class _Likely(FunctionElement[bool]):
    type = sa.Boolean()
    share: float

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002 - nothing binds weaker inside
        """The same: compared with 1, as any other function is, it would be kept from its index."""
        return self


class _OfMost(_Likely):
    inherit_cache = True
    share = _MOST


class _OfMostByIndex(_OfMost):
    inherit_cache = True


class _OfHalf(_Likely):
    inherit_cache = True
    share = _HALF


class _OfFew(_Likely):
    inherit_cache = True
    share = _FEW


def _condition(element: _Likely, compiler: SQLCompiler, keywords: dict[str, Any]) -> str:
    (condition,) = cast("Any", element.clauses)
    return compiler.process(condition, **keywords)


def _plain(element: _Likely, compiler: SQLCompiler, **keywords: Any) -> str:
    return _condition(element, compiler, keywords)


def _told(element: _Likely, compiler: SQLCompiler, **keywords: Any) -> str:
    return f"likelihood({_condition(element, compiler, keywords)}, {element.share})"


def _kept_from_indexes(element: _Likely, compiler: SQLCompiler, **keywords: Any) -> str:
    return f"likelihood(+{_condition(element, compiler, keywords)}, {element.share})"


for _kind in (_OfMost, _OfMostByIndex, _OfHalf, _OfFew):
    compiles(_kind)(_plain)
    compiles(_kind, "sqlite")(_kept_from_indexes if _kind is _OfMost else _told)


def is_live(table: sa.FromClause, *, by_index: bool = False) -> sa.ColumnElement[bool]:
    """The row is not marked as deleted.

    ``by_index``: the rows are looked for in an index of live rows alone, which the database must be let know.
    """
    condition = table.c.deleted == sa.false()
    return _OfMostByIndex(condition) if by_index else _OfMost(condition)


def is_marked(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """The row is marked as deleted."""
    return _OfHalf(table.c.deleted == sa.true())


def is_shown(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """The image is not hidden."""
    return _OfMost(table.c.os_hidden == sa.false())


def is_hidden(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """The image is hidden."""
    return _OfFew(table.c.os_hidden == sa.true())


def is_of(table: sa.FromClause, visibility: str) -> sa.ColumnElement[bool]:
    """The image has this visibility."""
    kind = _OfFew if visibility in {"public", "community"} else _OfHalf
    return kind(table.c.visibility == literal_visibility(table, visibility))


def literal_visibility(table: sa.FromClause, visibility: str) -> sa.ColumnElement[Any]:
    """In the text of the statement, because planners know how rare each visibility is."""
    return sa.literal_column(f"'{visibility}'", table.c.visibility.type)
