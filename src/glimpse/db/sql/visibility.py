"""Which images a viewer sees: one by one, and in lists (spec 01, section 3.11; spec 04, section 8)."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from glimpse.db.base import Viewer
from glimpse.db.sql.tables import image_members, images
from glimpse.domain.status import MemberStatus, Visibility

#: The viewer's project in every statement.
PROJECT = sa.bindparam("project", type_=sa.String())
#: The membership status that a list asks for.
MEMBER_STATUS = sa.bindparam("member_status", type_=sa.String())

_VISIBILITIES = frozenset(visibility.value for visibility in Visibility)
_MEMBER_STATUSES = frozenset(status.value for status in MemberStatus)


class ListScope(msgspec.Struct, frozen=True):
    """What the set of listed images depends on, apart from the names of the project and the status."""

    is_admin: bool
    has_project: bool
    visibility: str | None
    any_membership: bool

    @classmethod
    def of(cls, viewer: Viewer, visibility: str | None, member_status: str) -> ListScope:
        """The scope of one list request."""
        return cls(viewer.is_admin, viewer.project_id is not None, visibility, member_status == "all")

    def condition(self) -> sa.ColumnElement[bool]:
        """The images listed, as one condition, so that the database can walk one index in the order asked for."""
        if self.visibility not in {None, "all"} and self.visibility not in _VISIBILITIES:
            return sa.false()
        own = images.c.owner == PROJECT if self.has_project else sa.false()
        if self.is_admin:
            match self.visibility:
                case "all":
                    return sa.true()
                case None:
                    return sa.or_(images.c.visibility != _literal("community"), own)
                case visibility:
                    return _is(visibility)
        match self.visibility:
            case "all":
                return sa.or_(_is("public"), _is("community"), own, self._shared_with_project())
            case None:
                return sa.or_(_is("public"), own, self._shared_with_project())
            case "private":
                return sa.and_(_is("private"), own)
            case "shared":
                return sa.or_(sa.and_(_is("shared"), own), self._shared_with_project())
            case visibility:
                return _is(visibility)

    def _shared_with_project(self) -> sa.ColumnElement[bool]:
        if not self.has_project:
            return sa.false()
        member = sa.exists().where(
            image_members.c.image_id == images.c.id,
            image_members.c.member == PROJECT,
            image_members.c.deleted == sa.false(),
        )
        if not self.any_membership:
            member = member.where(image_members.c.status == MEMBER_STATUS)
        return sa.and_(_is("shared"), member)


def _is(visibility: str) -> sa.ColumnElement[bool]:
    return images.c.visibility == _literal(visibility)


def _literal(visibility: str) -> sa.ColumnElement[Any]:
    # in the text of the statement: the planner knows how rare each visibility is
    return sa.literal_column(f"'{visibility}'", images.c.visibility.type)
