"""Permanent removal of rows that are marked as deleted; see ``db/base_purge.py``.

A batch is found by the primary key, so that a run over a table reads it once, however many batches it takes. The
DELETE asks the rows again, as somebody may have revived one since it was found. It does not ask other tables again:
MariaDB would lock what it reads of them, and children of an image are protected by their foreign keys.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from glimpse.db.base_purge import IMAGES, LARGEST_BATCH, PURGEABLE, PurgedBatch
from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.row_state import is_marked
from glimpse.db.sql.tables import (
    image_locations,
    image_members,
    image_properties,
    image_tags,
    images,
    task_info,
    tasks,
)
from glimpse.db.sql.transaction import read, write
from glimpse.db.sql.unverified_locations import forget
from glimpse.domain.job_kinds import IMAGE_DELETION, UPLOAD
from glimpse.errors import Conflict, Invalid

_BEFORE = sa.bindparam("before", type_=sa.DateTime())
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)

_CHILDREN = (image_properties, image_tags, image_locations, image_members)
_TABLES = {table.name: table for table in (*_CHILDREN, tasks, images)}


def _own(table: sa.Table) -> sa.ColumnElement[bool]:
    """What a row says of itself."""
    marked = sa.and_(is_marked(table), table.c.deleted_at < _BEFORE)
    return sa.and_(marked, table.c.status != "pending_delete") if table in {image_locations, images} else marked


def _of_child(table: sa.Table) -> sa.ColumnElement[bool]:
    waiting = images.alias("waiting")
    return sa.and_(
        _own(table), ~sa.exists().where(waiting.c.id == table.c.image_id, waiting.c.status == "pending_delete")
    )


def _of_image(emptied: Collection[str] = ()) -> sa.ColumnElement[bool]:
    """Images without children; those that a purge of the tables ``emptied`` removes do not count."""
    working = sa.exists().where(
        jobs.c.image_id == images.c.id, jobs.c.due_at.is_not(None), jobs.c.type.in_((UPLOAD, IMAGE_DELETION))
    )
    blocked_by = [working]
    for child in _CHILDREN:
        stays = [child.c.image_id == images.c.id]
        if child.name in emptied:
            # not NOT: a missing deleted_at makes the condition neither true nor false
            stays.append(sa.case((_of_child(child), 0), else_=1) == 1)
        blocked_by.append(sa.exists().where(*stays))
    return sa.and_(_own(images), *(~exists for exists in blocked_by))


_CONDITIONS = {
    **{child.name: _of_child(child) for child in _CHILDREN},
    tasks.name: _own(tasks),
    images.name: _of_image(),
}
_REMOVE_TASK_INFO = sa.delete(task_info).where(task_info.c.task_id.in_(_IDS))


def _require_table(name: str) -> sa.Table:
    if name not in _TABLES:
        raise Invalid(f"There is no table {name} to purge; the tables are {', '.join(PURGEABLE)}.")
    return _TABLES[name]


def count_purgeable(connection: Connection, tables: Collection[str], before: datetime) -> dict[str, int]:
    """See :meth:`glimpse.db.base_purge.PurgeDatabase.count_purgeable`."""
    conditions = {**_CONDITIONS, IMAGES: _of_image(tables)}
    counts: dict[str, int] = {}
    for name in PURGEABLE:
        if name in tables:
            statement = sa.select(sa.func.count()).select_from(_TABLES[name]).where(conditions[name])
            counts[name] = connection.execute(statement, {"before": before}).scalar_one()
    return counts


def purge_batch(
    connection: Connection, table: sa.Table, before: datetime, limit: int, after: int | str | None
) -> PurgedBatch:
    """See :meth:`glimpse.db.base_purge.PurgeDatabase.purge_batch`."""
    found = sa.select(table.c.id).where(_CONDITIONS[table.name]).order_by(table.c.id).limit(limit)
    if after is not None:
        found = found.where(table.c.id > after)
    ids = cast("list[Any]", connection.execute(found, {"before": before}).scalars().all())
    if not ids:
        return PurgedBatch(0, None)
    if table is tasks:
        connection.execute(_REMOVE_TASK_INFO, {"ids": ids})
    if table is image_locations:
        forget(connection, ids)
    remove = sa.delete(table).where(table.c.id.in_(_IDS), _own(table))
    try:
        removed = connection.execute(remove, {"ids": ids, "before": before}).rowcount
    except IntegrityError as error:
        raise Conflict(f"Other tables refer to rows of {table.name} now.") from error
    return PurgedBatch(removed, ids[-1] if len(ids) == limit else None)


class Purge:
    """The part of the database that purges."""

    _engine: Engine

    def count_purgeable(self, tables: Collection[str], deleted_before: datetime) -> dict[str, int]:
        """See the protocol: 1 statement for each table."""
        for name in tables:
            _require_table(name)
        return read(self._engine, count_purgeable, tables, deleted_before)

    def purge_batch(
        self, table: str, deleted_before: datetime, limit: int, *, after: int | str | None = None
    ) -> PurgedBatch:
        """See the protocol: 2 statements, 3 for tasks and for locations."""
        if not 1 <= limit <= LARGEST_BATCH:
            raise Invalid(f"A batch must have 1 to {LARGEST_BATCH} rows.")
        return write(self._engine, purge_batch, _require_table(table), deleted_before, limit, after)
