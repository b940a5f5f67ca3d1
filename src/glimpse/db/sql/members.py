"""Rows of ``image_members`` (database 3.4), as far as operations on images change them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.row_state import is_live, is_marked
from glimpse.db.sql.tables import image_members

_COLUMNS = image_members.c
_IDS = _COLUMNS.id.in_(sa.bindparam("ids", expanding=True))

#: Rows of one member.
OF_MEMBER = equals(_COLUMNS.member, sa.bindparam("of_member", type_=sa.String()))

_same = image_members.alias("same")
# names that are one to the unique key of the table, whose collation may take more for the same than we do
_KEY = (
    sa.select(sa.func.min(_same.c.id))
    .where(_same.c.image_id == _COLUMNS.image_id, _same.c.member == _COLUMNS.member)
    .scalar_subquery()
)
_DELETED_NOW = _COLUMNS.deleted_at == sa.bindparam("moment")
_LIVE_OR_DELETED_NOW = (
    sa.select(_COLUMNS.id, _KEY, _COLUMNS.deleted)
    .where(_COLUMNS.image_id == sa.bindparam("of_image"), sa.or_(is_live(image_members), _DELETED_NOW))
    .order_by(_COLUMNS.deleted.desc(), _COLUMNS.id)
)
_LIVE_OR_DELETED_NOW_OF_MEMBER = _LIVE_OR_DELETED_NOW.where(sa.or_(is_marked(image_members), OF_MEMBER))
_MARK_DELETED = (
    sa.update(image_members)
    .where(_IDS)
    .values(deleted=True, deleted_at=sa.bindparam("moment"), updated_at=sa.bindparam("moment"))
)
_REMOVE = sa.delete(image_members).where(_IDS)


def drop_all_members(connection: Connection, image_id: str, moment: datetime) -> None:
    """Soft-delete the memberships of an image that is deleted."""
    _drop(connection, _LIVE_OR_DELETED_NOW, {"of_image": image_id, "moment": moment}, moment)


def drop_member(connection: Connection, image_id: str, member_id: str, moment: datetime) -> None:
    """Soft-delete the membership of one project."""
    parameters = {"of_image": image_id, "of_member": member_id, "moment": moment}
    _drop(connection, _LIVE_OR_DELETED_NOW_OF_MEMBER, parameters, moment)


def _drop(
    connection: Connection, found: sa.Select[int, int, bool], parameters: dict[str, Any], moment: datetime
) -> None:
    """Mark the rows selected by ``found`` as deleted.

    A second live row for one project (database 15.6) is removed: with the same ``deleted_at`` as the first
    it would break the unique constraint, and the image could never be deleted. So would a live row where another
    one was deleted at this very moment, a second on MySQL, and there also one whose project is called the same but for
    case, accents or blanks at the end.
    """
    keys: set[int] = set()
    marked: list[int] = []
    doubles: list[int] = []
    for row_id, key, deleted in connection.execute(found, parameters):
        if deleted:
            pass
        elif key in keys:
            doubles.append(row_id)
        else:
            marked.append(row_id)
        keys.add(key)
    if marked:
        connection.execute(_MARK_DELETED, {"ids": marked, "moment": moment})
    if doubles:
        connection.execute(_REMOVE, {"ids": doubles})
