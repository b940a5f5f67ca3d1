"""Read the usage of a project and reserve space for it (database 12); see :class:`glimpse.db.base.UsageDatabase`.

Used space is the sum of the stored copies of images and of the reservations of running uploads. One statement reads
both, so an upload that ends meanwhile is counted exactly once. Staged data and the stages that run are counted in the
same way, apart from these. Before a reservation is made, the project's row in ``glimpse_projects`` is locked; SQLite
has only one writer at a time anyway.
"""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import mysql, postgresql

from glimpse.db.records import UsageFigures
from glimpse.db.sql.exact_comparison import differs, equals
from glimpse.db.sql.index_hints import SelectT, force_index
from glimpse.db.sql.own_tables import jobs, projects
from glimpse.db.sql.tables import image_locations, image_properties, images
from glimpse.domain.allowance import Allowance, ImageCeiling
from glimpse.domain.imports import IMPORTING_TO
from glimpse.domain.job_kinds import STAGING

_DEAD = ("killed", "deleted", "pending_delete")
_STAGED = ("uploading", "importing")
_UNFINISHED = ("saving", *_STAGED)

_PROJECT = sa.bindparam("of_project", type_=sa.String())
_LIVE = images.c.status.not_in(_DEAD)
_COPIES = (
    sa.select(sa.func.count())
    .where(image_locations.c.image_id == images.c.id, image_locations.c.status != "deleted")
    .scalar_subquery()
)
_IS_COPIED = sa.exists().where(
    image_properties.c.image_id == images.c.id,
    equals(image_properties.c.name, IMPORTING_TO),
    differs(image_properties.c.value, ""),
)
_IS_STAGED = sa.or_(images.c.status.in_(_STAGED), _IS_COPIED)


def _of_owner(select: SelectT) -> SelectT:
    # SQLite would read all images if its statistics are from when there were few, MariaDB if the project has many
    return force_index(select, images, "owner_image_idx")


def _figures(owned: sa.ColumnElement[bool]) -> Any:
    unfinished = sa.or_(images.c.status.in_(_UNFINISHED), _IS_COPIED)
    figures = sa.select(
        sa.func.sum(images.c.size * _COPIES),
        sa.func.sum(sa.case((_IS_STAGED, images.c.size), else_=0)),
        sa.func.count(),
        sa.func.sum(sa.case((unfinished, 1), else_=0)),
    )
    return _of_owner(figures).where(owned, _LIVE)


_FIGURES = _figures(equals(images.c.owner, _PROJECT))
_FIGURES_OF_NOBODY = _figures(images.c.owner.is_(None))

_COUNT = _of_owner(sa.select(sa.func.count())).where(equals(images.c.owner, _PROJECT), _LIVE)

_STORED = (
    _of_owner(sa.select(sa.func.coalesce(sa.func.sum(images.c.size), 0)))
    .select_from(images.join(image_locations, image_locations.c.image_id == images.c.id))
    .where(
        equals(images.c.owner, _PROJECT),
        images.c.id != sa.bindparam("but_image", type_=sa.String()),
        _LIVE,
        images.c.size > 0,
        image_locations.c.status != "deleted",
    )
    .scalar_subquery()
)
_STAGED_SIZES = (
    _of_owner(sa.select(sa.func.coalesce(sa.func.sum(images.c.size), 0)))
    .where(
        equals(images.c.owner, _PROJECT),
        images.c.id != sa.bindparam("but_image", type_=sa.String()),
        _LIVE,
        _IS_STAGED,
    )
    .scalar_subquery()
)
_RESERVED = sa.select(sa.func.coalesce(sa.func.sum(jobs.c.reserved_bytes), 0)).where(
    equals(jobs.c.project_id, _PROJECT), jobs.c.id != sa.bindparam("but_job", type_=sa.String())
)
#: The bytes that a project uses and has reserved of its quota, and of that for staged data.
_TAKEN = {
    False: sa.select(_STORED, _RESERVED.where(jobs.c.type != STAGING).scalar_subquery()),
    True: sa.select(_STAGED_SIZES, _RESERVED.where(jobs.c.type == STAGING).scalar_subquery()),
}

_SAME: dict[str, Any] = {"id": sa.literal_column(f"{projects.name}.id")}
_LOCK = {
    "postgresql": postgresql.insert(projects).on_conflict_do_update(index_elements=["id"], set_=_SAME),
    "mysql": mysql.insert(projects).on_duplicate_key_update(_SAME),
}


def lock_project(connection: Connection, project_id: str) -> None:
    """Block other reservations for the project until this transaction ends."""
    lock = _LOCK.get(connection.dialect.name)
    if lock is not None:
        connection.execute(lock, {"id": project_id})


def reserve(
    connection: Connection, allowance: Allowance, needed: int, wished: int, *, image_id: str = "", job_id: str = ""
) -> int:
    """Lock the project and return how many bytes an operation may use.

    ``image_id`` is an image that is not counted because it is being written, ``job_id`` the operation's own job, whose
    reservation is not counted.

    :raises LimitExceeded: ``needed`` bytes exceed the allowance.
    """
    lock_project(connection, allowance.project_id)
    of = {"of_project": allowance.project_id, "but_image": image_id, "but_job": job_id}
    stored, reserved = connection.execute(_TAKEN[allowance.staged], of).one()
    return allowance.grant(int(stored) + int(reserved), needed, wished)


def check_ceiling(connection: Connection, ceiling: ImageCeiling) -> None:
    """Lock the project and check that it may have one more image.

    :raises LimitExceeded: it has as many images as it may have.
    """
    lock_project(connection, ceiling.project_id)
    ceiling.check(connection.execute(_COUNT, {"of_project": ceiling.project_id}).scalar_one())


def usage(connection: Connection, project_id: str | None) -> UsageFigures:
    """See :meth:`glimpse.db.base.UsageDatabase.usage`."""
    of, statement = ({}, _FIGURES_OF_NOBODY) if project_id is None else ({"of_project": project_id}, _FIGURES)
    size, stage, count, uploading = cast("tuple[Any, ...]", connection.execute(statement, of).one())
    # sums are NULL without rows, and decimals on PostgreSQL and MySQL
    return UsageFigures(
        size_total=int(size or 0),
        stage_total=int(stage or 0),
        count_total=count,
        count_uploading=int(uploading or 0),
    )
