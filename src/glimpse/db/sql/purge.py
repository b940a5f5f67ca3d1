"""Permanent removal of rows that are marked as deleted; see :class:`glimpse.db.base.MaintenanceDatabase`.

A batch is found by the primary key, so that a run over a table reads it once, however many batches it takes. The
DELETE asks the rows again, as somebody may have revived one since it was found. It does not ask other tables again:
MariaDB would lock what it reads of them, and children of an image are protected by their foreign keys.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from glimpse.db.records import IMAGES, LARGEST_BATCH, PURGEABLE, PurgedBatch
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
from glimpse.db.sql.unverified_locations import delete_unverified
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


def _require_table(name: str) -> None:
    if name not in _TABLES:
        raise Invalid(f"There is no table {name} to purge; the tables are {', '.join(PURGEABLE)}.")


def count_purgeable(connection: Connection, tables: Collection[str], deleted_before: datetime) -> dict[str, int]:
    """See :meth:`glimpse.db.base.MaintenanceDatabase.count_purgeable`."""
    for name in tables:
        _require_table(name)
    conditions = {**_CONDITIONS, IMAGES: _of_image(tables)}
    counts: dict[str, int] = {}
    for name in PURGEABLE:
        if name in tables:
            statement = sa.select(sa.func.count()).select_from(_TABLES[name]).where(conditions[name])
            counts[name] = connection.execute(statement, {"before": deleted_before}).scalar_one()
    return counts


def purge_batch(
    connection: Connection, table: str, deleted_before: datetime, limit: int, *, after: int | str | None = None
) -> PurgedBatch:
    """See :meth:`glimpse.db.base.MaintenanceDatabase.purge_batch`."""
    if not 1 <= limit <= LARGEST_BATCH:
        raise Invalid(f"A batch has 1 to {LARGEST_BATCH} rows.")
    _require_table(table)
    rows = _TABLES[table]
    found = sa.select(rows.c.id).where(_CONDITIONS[table]).order_by(rows.c.id).limit(limit)
    if after is not None:
        found = found.where(rows.c.id > after)
    ids = cast("list[Any]", connection.execute(found, {"before": deleted_before}).scalars().all())
    if not ids:
        return PurgedBatch(0, None)
    if rows is tasks:
        connection.execute(_REMOVE_TASK_INFO, {"ids": ids})
    if rows is image_locations:
        delete_unverified(connection, ids)
    remove = sa.delete(rows).where(rows.c.id.in_(_IDS), _own(rows))
    try:
        removed = connection.execute(remove, {"ids": ids, "before": deleted_before}).rowcount
    except IntegrityError as error:
        raise Conflict(f"Other tables refer to rows of {table} now.") from error
    return PurgedBatch(removed, ids[-1] if len(ids) == limit else None)
