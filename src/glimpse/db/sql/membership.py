"""Sharing an image with projects: the part of the database that reads and changes memberships.

Adding locks the row of the image first, as every change of an image does, so that two requests that add the same
project, or the last one that fits, come one after the other: no constraint of the tables keeps live rows apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.records import Viewer
from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.reading import fits, require_image_id
from glimpse.db.sql.row_state import is_live, is_marked
from glimpse.db.sql.tables import image_members, images
from glimpse.db.sql.texts import require_short, require_storable, storable
from glimpse.db.sql.transaction import stamp
from glimpse.domain.image import MEMBER_LENGTH, Member
from glimpse.domain.limits import check_count
from glimpse.domain.status import MemberStatus
from glimpse.errors import Duplicate, Invalid, NotFound, no_such_image

# ------------------------------- Rows of ``image_members`` (database 3.4), as far as operations on images change them

_MEMBER = image_members.c
_IDS = _MEMBER.id.in_(sa.bindparam("ids", expanding=True))

#: Rows of one member.
OF_MEMBER = equals(_MEMBER.member, sa.bindparam("of_member", type_=sa.String()))

_same = image_members.alias("same")
# names that are one to the unique key of the table, whose collation may take more for the same than we do
_KEY = (
    sa.select(sa.func.min(_same.c.id))
    .where(_same.c.image_id == _MEMBER.image_id, _same.c.member == _MEMBER.member)
    .scalar_subquery()
)
_DELETED_NOW = _MEMBER.deleted_at == sa.bindparam("moment")
_LIVE_OR_DELETED_NOW = (
    sa.select(_MEMBER.id, _KEY, _MEMBER.deleted)
    .where(_MEMBER.image_id == sa.bindparam("of_image"), sa.or_(is_live(image_members), _DELETED_NOW))
    .order_by(_MEMBER.deleted.desc(), _MEMBER.id)
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


_COLUMNS = image_members.c
_OF_IMAGE = _COLUMNS.image_id == sa.bindparam("of_image", type_=sa.String())
_LIVE = sa.and_(_OF_IMAGE, is_live(image_members))
_PROJECT = sa.bindparam("project", type_=sa.String())
_MOMENT = sa.bindparam("moment", type_=sa.DateTime())
_STATUS = sa.bindparam("new_status", type_=sa.String())

_ALL = (
    sa.select(_COLUMNS.member, _COLUMNS.status, _COLUMNS.created_at, _COLUMNS.updated_at)
    .join(images, images.c.id == _COLUMNS.image_id)
    .where(_LIVE, is_live(images))
    .order_by(_COLUMNS.id)
)
_SEEN = _ALL.where(sa.or_(equals(images.c.owner, _PROJECT), equals(_COLUMNS.member, _PROJECT)))

_LOCK_IMAGE = (
    sa.select(images.c.id)
    .where(images.c.id == sa.bindparam("of_image", type_=sa.String()), is_live(images))
    .with_for_update()
)
_LIVE_OR_OWN = (
    sa.select(_COLUMNS.id, _COLUMNS.deleted, OF_MEMBER.label("same"), _COLUMNS.created_at)
    .where(_OF_IMAGE, sa.or_(is_live(image_members), OF_MEMBER))
    .order_by(_COLUMNS.id)
)
_INSERT = sa.insert(image_members)
_REVIVE = (
    sa.update(image_members)
    .where(_COLUMNS.id == sa.bindparam("row_id", type_=sa.Integer()))
    .values(
        status=MemberStatus.PENDING.value,
        updated_at=_MOMENT,
        deleted=False,
        deleted_at=None,
    )
)
_SET_STATUS = sa.update(image_members).where(_LIVE, OF_MEMBER).values(status=_STATUS, updated_at=_MOMENT)
_ONE = (
    sa.select(_COLUMNS.member, _COLUMNS.status, _COLUMNS.created_at, _COLUMNS.updated_at)
    .where(_LIVE, OF_MEMBER)
    .order_by(_COLUMNS.id)
)


def require_new_member(image_id: str, member_id: str, *_: object, **__: object) -> None:
    """Refuse names that a new membership cannot have.

    :raises NotFound: no image can have this id.
    :raises Invalid: no member can have this name.
    """
    require_image_id(image_id)
    if not member_id:
        raise Invalid("A member must have a name.")
    require_storable((member_id,))
    require_short(member_id, MEMBER_LENGTH, "The member")


def require_names(image_id: str, member_id: str, *_: object, **__: object) -> None:
    """:raises NotFound: no membership can have these names."""
    if not fits(image_id) or not storable(member_id):
        raise _no_such_member(image_id, member_id)


def _no_such_member(image_id: str, member_id: str) -> NotFound:
    return NotFound(f"Image {image_id} has no member {member_id}.")


def _members(image_id: str, rows: Iterable[Sequence[Any]]) -> list[Member]:
    """One member for each project: of two live rows (database 15.6) the last, as reading images has it."""
    found = {
        row[0]: Member(
            image_id=image_id, member_id=row[0], status=MemberStatus(row[1]), created_at=row[2],
            updated_at=row[3] or row[2],
        )
        for row in rows
    }  # fmt: skip
    return list(found.values())


def list_members(
    connection: Connection, image_id: str, viewer: Viewer, *, member_id: str | None = None
) -> list[Member]:
    """See the protocol."""
    if not fits(image_id) or (member_id is not None and not storable(member_id)):
        return []
    statement = _ALL if viewer.is_admin else _SEEN
    parameters = {"of_image": image_id} if viewer.is_admin else {"of_image": image_id, "project": viewer.project_id}
    if member_id is not None:
        statement = statement.where(OF_MEMBER)
        parameters["of_member"] = member_id
    return _members(image_id, connection.execute(statement, parameters))


def add_member(connection: Connection, image_id: str, member_id: str, *, maximum: int) -> Member:
    """See the protocol; for names that passed :func:`require_new_member`."""
    if connection.execute(_LOCK_IMAGE, {"of_image": image_id}).fetchone() is None:
        raise no_such_image(image_id)
    rows = connection.execute(_LIVE_OR_OWN, {"of_image": image_id, "of_member": member_id}).fetchall()
    live = [row for row in rows if not row.deleted]
    check_count("members", len(live) + 1, maximum)
    if any(row.same for row in live):
        raise Duplicate(f"Image {image_id} is already shared with {member_id}.")
    moment = stamp(connection)
    removed = next((row for row in rows if row.deleted), None)
    created_at = None
    if removed is not None:
        revive = {"row_id": removed.id, "moment": moment}
        # a purge may have taken the row since it was read
        created_at = removed.created_at if connection.execute(_REVIVE, revive).rowcount else None
    if created_at is None:
        connection.execute(_INSERT, _new_row(image_id, member_id, moment))
        created_at = moment
    return Member(image_id=image_id, member_id=member_id, created_at=created_at, updated_at=moment)


def _new_row(image_id: str, member_id: str, moment: datetime) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "member": member_id,
        "can_share": False,
        "status": MemberStatus.PENDING.value,
        "created_at": moment,
        "updated_at": moment,
        "deleted_at": None,
        "deleted": False,
    }


def set_member_status(connection: Connection, image_id: str, member_id: str, status: MemberStatus) -> Member:
    """See the protocol; for names that passed :func:`require_names`."""
    parameters: dict[str, Any] = {"of_image": image_id, "of_member": member_id}
    change = parameters | {"new_status": status.value, "moment": stamp(connection)}
    if not connection.execute(_SET_STATUS, change).rowcount:
        raise _no_such_member(image_id, member_id)
    return _members(image_id, connection.execute(_ONE, parameters))[-1]


def remove_member(connection: Connection, image_id: str, member_id: str) -> Member:
    """See the protocol; for names that passed :func:`require_names`."""
    # locked, so that of two removals the second finds nothing
    parameters = {"of_image": image_id, "of_member": member_id}
    found = _members(image_id, connection.execute(_ONE.with_for_update(), parameters))
    if not found:
        raise _no_such_member(image_id, member_id)
    moment = stamp(connection)
    drop_member(connection, image_id, member_id, moment)
    member = found[-1]
    return Member(
        image_id=image_id, member_id=member.member_id, status=member.status, created_at=member.created_at,
        updated_at=moment,
    )  # fmt: skip
