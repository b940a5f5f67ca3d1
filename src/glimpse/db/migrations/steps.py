"""Steps of a revision that may have been taken before.

MySQL and MariaDB commit each statement by itself, so a revision that was interrupted there is run again from its first
statement; each step looks first whether its work is done. Indexes on tables of Glance: ``online.py``.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem


def create_table(name: str, *items: SchemaItem) -> None:
    """Create a table of Glimpse's own."""
    if op.get_bind().dialect.name == "mysql" and sa.inspect(op.get_bind()).has_table(name):
        return
    op.create_table(name, *items, mysql_engine="InnoDB", mysql_charset="utf8")


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column to a table of Glimpse's own."""
    if column.name not in {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def create_index(name: str, table: str, *columns: str) -> None:
    """Index a table of Glimpse's own; the statement locks it."""
    if name not in {found["name"] for found in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, list(columns))
