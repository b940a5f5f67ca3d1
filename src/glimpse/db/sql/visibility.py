"""Which images a viewer sees: one by one, and in lists (images-api 3.11; database 8)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from glimpse.db.records import Viewer
from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.row_state import is_live, is_of, literal_visibility
from glimpse.db.sql.tables import image_members, images
from glimpse.domain.status import MemberStatus, Visibility

#: The viewer's project in every statement.
PROJECT = sa.bindparam("project", type_=sa.String())
#: The membership status that a list asks for.
MEMBER_STATUS = sa.bindparam("member_status", type_=sa.String())

_OWN = equals(images.c.owner, PROJECT)

_VISIBILITIES = frozenset(visibility.value for visibility in Visibility)
_MEMBER_STATUSES = frozenset(status.value for status in MemberStatus)


# The indexes (migrations glimpse_004, glimpse_005, glimpse_008) that have the live images of an owner, and all of them,
# in the order of a key, and those of the visibility public or community by time. The order of ids is that of the table.

#: Sort keys with indexes of their own.
INDEXED_KEYS = ("created_at", "updated_at", "name", "size")
_OF_OWNER = {key: f"glimpse_images_owner_{key}" for key in INDEXED_KEYS}
_OF_ALL = {key: f"glimpse_images_{key}" for key in INDEXED_KEYS} | {"id": "PRIMARY"}
_OF_VISIBILITY = {"created_at": "glimpse_images_visibility"}


class Lane(msgspec.Struct, frozen=True):
    """A part of the listed images that is found in one way. Lanes of a list may have images in common.

    ``indexes``: by the first key of an order, the index that has the images of the lane in it. In the order of any
    other key they are gathered.
    """

    conditions: tuple[sa.ColumnElement[bool], ...]
    indexes: Mapping[str, str] = {}
    source: sa.FromClause = images

    @property
    def is_of_visibility(self) -> bool:
        """Whether it has the images of a visibility that few have."""
        return self.indexes is _OF_VISIBILITY

    @property
    def is_of_owner(self) -> bool:
        """Whether it has images of one owner."""
        return self.indexes is _OF_OWNER


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

    @property
    def is_empty(self) -> bool:
        """Whether it asks for a visibility that no image has."""
        return self.visibility not in {None, "all"} and self.visibility not in _VISIBILITIES

    def lanes(self) -> list[Lane]:
        """The images listed, as lanes."""
        if self.is_admin:
            return [self._lane_of_every_project()]
        lanes: list[Lane] = []
        match self.visibility:
            case "all":
                lanes = [_lane_of("public"), _lane_of("community")]
            case None | "public":
                lanes = [_lane_of("public")]
            case "community":
                lanes = [_lane_of("community")]
            case _:
                pass
        if not self.has_project:
            return lanes or [Lane((sa.false(),))]
        match self.visibility:
            case None | "all":
                lanes.append(Lane((_OWN,), _OF_OWNER))
            case "private" | "shared":
                lanes.append(Lane((_OWN, _is(self.visibility)), _OF_OWNER))
            case _:
                return lanes
        if self.visibility != "private":
            lanes.append(self._lane_of_memberships())
        return lanes

    def _lane_of_every_project(self) -> Lane:
        match self.visibility:
            case None | "all":
                return Lane((self.condition(),), _OF_ALL)
            case "private" | "shared":
                return Lane((_is(self.visibility),), _OF_ALL)
            case visibility:
                return _lane_of(visibility)

    def lane_of_filtered(self) -> Lane:
        """The same where a filter leaves few of them."""
        return Lane((self.condition(),))

    def lane_of_owner(self) -> Lane:
        """The same where a filter names their owner."""
        return Lane((self.condition(),), _OF_OWNER)

    def _lane_of_memberships(self) -> Lane:
        source = image_members.join(images, images.c.id == image_members.c.image_id)
        return Lane((_is("shared"), *self._membership()), source=source)

    def condition(self) -> sa.ColumnElement[bool]:
        """The images listed, as one condition."""
        if self.is_empty:
            return sa.false()
        own = _OWN if self.has_project else sa.false()
        if self.is_admin:
            match self.visibility:
                case "all":
                    return sa.true()
                case None:
                    return sa.or_(images.c.visibility != literal_visibility(images, "community"), own)
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
        return sa.and_(_is("shared"), sa.exists().where(image_members.c.image_id == images.c.id, *self._membership()))

    def _membership(self) -> list[sa.ColumnElement[bool]]:
        of_project = [equals(image_members.c.member, PROJECT), is_live(image_members, by_index=True)]
        return of_project if self.any_membership else [*of_project, image_members.c.status == MEMBER_STATUS]


def _lane_of(visibility: str) -> Lane:
    return Lane((_is(visibility),), _OF_VISIBILITY)


def _is(visibility: str) -> sa.ColumnElement[bool]:
    return is_of(images, visibility)
