"""Select the images that a viewer sees in lists (images-api 3.11; database 8)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from glimpse.db.records import Viewer
from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.row_state import is_live, is_of, literal_visibility
from glimpse.db.sql.tables import image_members, images
from glimpse.domain.status import MemberStatus, Visibility

#: Parameter of every statement: the viewer's project.
PROJECT = sa.bindparam("project", type_=sa.String())
#: Parameter: the membership status that a list is filtered by.
MEMBER_STATUS = sa.bindparam("member_status", type_=sa.String())

_OWN = equals(images.c.owner, PROJECT)

_VISIBILITIES = frozenset(visibility.value for visibility in Visibility)
_MEMBER_STATUSES = frozenset(status.value for status in MemberStatus)


# Indexes of live images (migrations glimpse_004, glimpse_005, glimpse_008): those of an owner and those of all owners
# in the order of a sort key, and public and community ones by creation time. The table itself has the order of ids.

#: Sort keys that have their own indexes.
INDEXED_KEYS = ("created_at", "updated_at", "name", "size")
_OF_OWNER = {key: f"glimpse_images_owner_{key}" for key in INDEXED_KEYS}
_OF_ALL = {key: f"glimpse_images_{key}" for key in INDEXED_KEYS} | {"id": "PRIMARY"}
_OF_VISIBILITY = {"created_at": "glimpse_images_visibility"}


class Lane(msgspec.Struct, frozen=True):
    """A subset of the listed images, read with one access path. Lanes of a list may overlap.

    ``indexes``: the index to read the lane in order, by the first sort key. For other keys all images of the lane are
    read and sorted.
    """

    conditions: tuple[sa.ColumnElement[bool], ...]
    indexes: Mapping[str, str] = {}
    source: sa.FromClause = images

    @property
    def is_of_visibility(self) -> bool:
        """Tell whether the lane has the images of a visibility that few images have."""
        return self.indexes is _OF_VISIBILITY

    @property
    def is_of_owner(self) -> bool:
        """Tell whether the lane has the images of one owner."""
        return self.indexes is _OF_OWNER


class ListScope(msgspec.Struct, frozen=True):
    """Determines which images a list has, together with the parameters for the project and the membership status."""

    is_admin: bool
    has_project: bool
    visibility: str | None
    any_membership: bool

    @classmethod
    def of(cls, viewer: Viewer, visibility: str | None, member_status: str) -> ListScope:
        """Return the scope of a list request."""
        return cls(viewer.is_admin, viewer.project_id is not None, visibility, member_status == "all")

    @property
    def is_empty(self) -> bool:
        """Tell whether the requested visibility does not exist."""
        return self.visibility not in {None, "all"} and self.visibility not in _VISIBILITIES

    def lanes(self) -> list[Lane]:
        """Return the lanes that together have all images of the list."""
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
        """Return a single lane for a list that a filter reduces to few images."""
        return Lane((self.condition(),))

    def lane_of_owner(self) -> Lane:
        """Return a single lane for a list with a filter by owner."""
        return Lane((self.condition(),), _OF_OWNER)

    def _lane_of_memberships(self) -> Lane:
        source = image_members.join(images, images.c.id == image_members.c.image_id)
        return Lane((_is("shared"), *self._membership()), source=source)

    def condition(self) -> sa.ColumnElement[bool]:
        """Return the condition that matches all images of the list."""
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
