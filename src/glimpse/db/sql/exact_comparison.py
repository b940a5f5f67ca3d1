"""Exact comparison of strings on every database.

The collations of Glance's tables on MySQL and MariaDB take texts for equal that differ in case, in accents or in blanks
at the end (database 2), so there a plain ``=`` gives the project ``lab`` what belongs to ``Lab``. The bytes are
compared as well; the plain comparison stays beside that, because the indexes are in the order of the collation.
PostgreSQL and SQLite compare exactly, and get the plain comparison alone.

Ids of images and of jobs are left to the collation, as the API has it (images-api 0.4).
"""

from __future__ import annotations

from typing import Any, Self, cast

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType

_Text = sa.ColumnElement[Any]


class _Bytes(FunctionElement[str]):
    """The bytes of a text on MySQL, elsewhere the text."""

    inherit_cache = True
    type = sa.String()


class _Exact(FunctionElement[bool]):
    """A comparison by the collation, and the same one of bytes."""

    inherit_cache = True
    type = sa.Boolean()

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002 - it brings its own brackets
        """The same: compared with 1, as any other function is, it would be kept from its index."""
        return self


def _parts(element: FunctionElement[Any]) -> tuple[_Text, ...]:
    return tuple(cast("Any", element.clauses))


@compiles(_Bytes)
def _text(element: _Bytes, compiler: SQLCompiler, **keywords: Any) -> str:
    return compiler.process(_parts(element)[0], **keywords)


@compiles(_Bytes, "mysql", "mariadb")
def _bytes(element: _Bytes, compiler: SQLCompiler, **keywords: Any) -> str:
    return f"CAST({compiler.process(_parts(element)[0], **keywords)} AS BINARY)"


@compiles(_Exact)
def _collated(element: _Exact, compiler: SQLCompiler, **keywords: Any) -> str:
    return f"({compiler.process(_parts(element)[0], **keywords)})"


@compiles(_Exact, "mysql", "mariadb")
def _both(element: _Exact, compiler: SQLCompiler, **keywords: Any) -> str:
    collated, exact = _parts(element)
    return f"({compiler.process(collated, **keywords)} AND {compiler.process(exact, **keywords)})"


def equals(column: _Text, value: Any) -> sa.ColumnElement[bool]:
    """``column = value``."""
    return _Exact(column == value, _Bytes(column) == value)


def differs(column: _Text, value: Any) -> sa.ColumnElement[bool]:
    """``column != value``; no index helps."""
    return _Bytes(column) != value


def is_one_of(column: _Text, values: sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    """``column IN values``, which is an expanding parameter."""
    return _Exact(column.in_(values), _Bytes(column).in_(values))


def is_none_of(column: _Text, values: sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    """``column NOT IN values``, which is an expanding parameter; no index helps."""
    return _Bytes(column).not_in(values)
