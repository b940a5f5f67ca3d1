"""The column types (database 2), and the columns that most tables share."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

#: BI of the type key: plain INTEGER on SQLite, where every integer has 64 bits.
BigInt = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Text of more than 64 KiB also on MySQL.
LongText = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")

#: Seconds since 1970, with their fraction.
Seconds: sa.Double[float] = sa.Double()

#: What every table is created with on MySQL and MariaDB.
MYSQL_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8"}


def flag(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    """A boolean that carries an unnamed CHECK where the database has no booleans of its own."""
    return sa.Column(name, sa.Boolean(create_constraint=True), nullable=nullable)


def times() -> tuple[sa.Column[Any], ...]:
    """``created_at`` and ``updated_at``; the writer supplies both."""
    return (
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime()),
    )


def soft_delete() -> tuple[sa.Column[Any], ...]:
    """The four columns of every table whose rows are marked and not removed (database 6)."""
    return (*times(), sa.Column("deleted_at", sa.DateTime()), flag("deleted"))
