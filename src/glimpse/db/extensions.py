"""Finds and removes Glimpse's additions to a database; a plain Glance database remains (database 1)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from glimpse.db import schema
from glimpse.db.migrations.online import PREFIX, drop_index_online, own_indexes
from glimpse.db.schema import SchemaState
from glimpse.db.schema_lock import alone
from glimpse.db.sql.own_tables import glimpse_version, jobs
from glimpse.db.sql.transaction import read
from glimpse.errors import Conflict

#: Of versions before revision glimpse_007.
_LEASES = sa.table("glimpse_leases", sa.column("image_id", sa.String()))

# ids that a sentence names
_NAMED = 5


class Extensions(msgspec.Struct, frozen=True):
    """Names of tables, names and tables of indexes, and messages about what would be lost with them.

    ``unfinished`` is work that would never be finished, ``records`` is only history.
    """

    tables: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...]
    unfinished: tuple[str, ...]
    records: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.tables or self.indexes)


def extensions(engine: Engine) -> Extensions:
    """Find the extensions in a database.

    :raises DatabaseUnavailable: it cannot be reached.
    """
    return read(engine, _extensions)


def drop_extensions(engine: Engine, *, force: bool = False) -> Extensions:
    """Drop the extensions, and return what was there. Call it again if it was interrupted.

    Glance may use its tables meanwhile; no process of Glimpse may run.

    :raises Conflict: there is unfinished work, and not ``force``; nothing is changed.
    :raises DatabaseUnavailable: the database cannot be reached, or its tables are in use for too long.
    :raises Forbidden: the database user lacks the permissions.
    """
    with alone(engine) as connection:
        found = _extensions(connection)
        if found.unfinished and not force:
            raise Conflict(" ".join(found.unfinished))
        # MySQL commits each statement. Without the version table, `glimpse db sync` creates the extensions again.
        for table in sorted(found.tables, key=lambda name: name != glimpse_version.name):
            sa.Table(table, sa.MetaData()).drop(connection)
        # last, because PostgreSQL commits before it
        for index, table in found.indexes:
            drop_index_online(connection, index, table)
    return found


def _extensions(connection: Connection) -> Extensions:
    names = sorted(name for name in sa.inspect(connection).get_table_names() if name.startswith(PREFIX))
    unfinished: list[str] = []
    records: list[str] = []
    if schema.made_by_newer_version(connection):
        unfinished.append(f"{SchemaState.OWN_UNKNOWN.value} Unfinished work in them is not known.")
    else:
        if _LEASES.name in names:
            unfinished += _of_leases(connection)
        if jobs.name in names:
            unfinished += _of_jobs(connection)
            records += _of_ended_jobs(connection)
    return Extensions(tuple(names), tuple(own_indexes(connection)), tuple(unfinished), tuple(records))


def _of_leases(connection: Connection) -> list[str]:
    images = connection.execute(sa.select(_LEASES.c.image_id).order_by(_LEASES.c.image_id)).scalars().all()
    return [f"{_amount(len(images), 'operation')} on images not finished: {_named(images)}."] if images else []


def _of_jobs(connection: Connection) -> list[str]:
    statement = sa.select(jobs.c.type, jobs.c.id).where(jobs.c.ended_at.is_(None)).order_by(jobs.c.type, jobs.c.id)
    by_kind: dict[str, list[str]] = {}
    for kind, job_id in connection.execute(statement):
        by_kind.setdefault(kind, []).append(job_id)
    return [f"{_amount(len(ids), 'job')} of the kind {kind} not ended: {_named(ids)}." for kind, ids in by_kind.items()]


def _of_ended_jobs(connection: Connection) -> list[str]:
    ended = connection.scalar(sa.select(sa.func.count()).select_from(jobs).where(jobs.c.ended_at.is_not(None)))
    return [f"{_amount(ended, 'record')} of jobs that have ended."] if ended else []


def _amount(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _named(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:_NAMED])
    return f"{shown}, …" if len(ids) > _NAMED else shown
