"""Steps of a revision that can be repeated.

MySQL and MariaDB commit each statement, so an interrupted revision is run again from its first statement; each step
first checks whether it is already done. For indexes on Glance's tables see ``online.py``.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem


def create_table(name: str, *items: SchemaItem) -> None:
    """Create one of Glimpse's own tables."""
    if op.get_bind().dialect.name == "mysql" and sa.inspect(op.get_bind()).has_table(name):
        return
    op.create_table(name, *items, mysql_engine="InnoDB", mysql_charset="utf8")


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column to one of Glimpse's own tables."""
    if column.name not in {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def create_index(name: str, table: str, *columns: str) -> None:
    """Create an index on one of Glimpse's own tables; the statement locks the table."""
    if name not in {found["name"] for found in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, list(columns))
