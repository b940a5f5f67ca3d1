"""Processor time that a database spends for a connection: what a busy machine does not falsify, as far as that goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

_THREAD = "SELECT tid FROM information_schema.processlist WHERE id = connection_id()"


def processor_clock(connection: sa.Connection) -> Callable[[], float] | None:
    """Seconds spent so far for a connection; None for a server of another machine, or one that does not tell."""
    match connection.dialect.name:
        case "sqlite":
            return time.thread_time
        case "postgresql":
            found = Path(f"/proc/{_scalar(connection, 'SELECT pg_backend_pid()')}")
            is_it = _named(found, "postgres")
        case _:
            if "MariaDB" not in _scalar(connection, "SELECT version()"):
                return None
            found = Path(f"/proc/{_scalar(connection, _THREAD)}")
            is_it = _named(found, "mariadbd")
    return (lambda: int((found / "schedstat").read_text().split()[0]) / 1e9) if is_it else None


def _scalar(connection: sa.Connection, statement: str) -> Any:
    return connection.exec_driver_sql(statement).scalar_one()


def _named(process: Path, name: str) -> bool:
    try:
        return name in (process / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
