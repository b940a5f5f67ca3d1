"""The present by the clock of the database, in seconds since 1970.

Leases and pauses of jobs begin and end by it alone, so the clocks of nodes and of registries do not matter. It stands
still while a statement runs, so that an index can be used to compare a column with it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _Present(FunctionElement[float]):
    inherit_cache = True
    type: sa.types.TypeEngine[float] = sa.Double()


PRESENT = _Present()


@compiles(_Present, "sqlite")
def _of_sqlite(_element: _Present, _compiler: SQLCompiler, **_keywords: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(_Present, "postgresql")
def _of_postgresql(_element: _Present, _compiler: SQLCompiler, **_keywords: Any) -> str:
    # not now(), which is the start of the transaction, nor clock_timestamp(), for which no index can be used
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) AS DOUBLE PRECISION)"


@compiles(_Present, "mysql", "mariadb")
def _of_mysql(_element: _Present, _compiler: SQLCompiler, **_keywords: Any) -> str:
    # not UNIX_TIMESTAMP(), which reads its argument in the time zone of the session
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6)"
