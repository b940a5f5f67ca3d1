"""Who may read and list which images: every combination, compared with a simple model of images-api 3.11."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import pytest

from glimpse.db.records import Viewer
from glimpse.domain.listing import ListQuery
from glimpse.domain.status import MemberStatus, Status, Visibility
from glimpse.errors import Forbidden, MarkerUnknown, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import image

VIEWERS = [
    Viewer(None, is_admin=True),
    Viewer("a", is_admin=True),
    Viewer("a"),
    Viewer("b"),
    Viewer(None),
]


class Case(msgspec.Struct, frozen=True):
    """One image; ``member`` is the state of project b's membership, ``removed`` a soft-deleted row."""

    id: str
    visibility: str
    owner: str | None
    member: str | None
    hidden: bool = False
    status: str = "active"

    def membership(self, viewer: Viewer) -> str | None:
        return self.member if viewer.project_id == "b" and self.member != "removed" else None


def cases() -> Iterator[Case]:
    numbers = itertools.count()
    members = [None, "removed", *(status.value for status in MemberStatus)]
    for visibility, owner, member in itertools.product(Visibility, ["a", "b", "c", None], members):
        yield Case(f"image-{next(numbers)}", visibility.value, owner, member)
    for visibility, status in itertools.product(Visibility, Status):
        yield Case(f"image-{next(numbers)}", visibility.value, "a", None, status=status.value)
        yield Case(f"image-{next(numbers)}", visibility.value, "a", None, hidden=True)


CASES = list(cases())


def may_read(case: Case, viewer: Viewer) -> bool:
    if viewer.is_admin or case.visibility in {"public", "community"}:
        return True
    if case.owner is None:
        return case.visibility == "shared"
    if case.owner == viewer.project_id:
        return True
    return case.visibility == "shared" and case.membership(viewer) is not None


def may_list(case: Case, viewer: Viewer, visibility: str | None, member_status: str) -> bool:
    own = viewer.project_id is not None and case.owner == viewer.project_id
    if visibility not in {None, "all"} and case.visibility != visibility:
        return False
    if case.visibility == "community":
        return own or visibility in {"all", "community"}
    if viewer.is_admin or own or case.visibility == "public":
        return True
    membership = case.membership(viewer)
    return case.visibility == "shared" and membership is not None and member_status in {"all", membership}


@pytest.fixture
def filled(backend: Backend) -> Backend:
    for case in CASES:
        backend.database.create_image(
            image(
                id=case.id,
                visibility=Visibility(case.visibility),
                owner=case.owner,
                status=Status(case.status),
                os_hidden=case.hidden,
            )
        )
        if case.member is not None:
            removed = case.member == "removed"
            backend.share(case.id, "b", "accepted" if removed else case.member, deleted=removed)
    return backend


def test_single_images(filled: Backend) -> None:
    for viewer in VIEWERS:
        for case in CASES:
            if may_read(case, viewer):
                read = filled.database.get_image(case.id, viewer)
                assert read.id == case.id
                assert read.membership == case.membership(viewer)
            else:
                with pytest.raises(NotFound):
                    filled.database.get_image(case.id, viewer)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("visibility", [None, "all", *(visibility.value for visibility in Visibility)])
def test_lists(filled: Backend, visibility: str | None, hidden: bool) -> None:
    for viewer, member_status in itertools.product(VIEWERS, ["all", *(status.value for status in MemberStatus)]):
        query = ListQuery(visibility=visibility, member_status=member_status, os_hidden=hidden, limit=1000)
        listed = filled.database.list_images(query, viewer)
        expected = [
            case.id
            for case in CASES
            if case.hidden == hidden
            and case.status not in {"killed", "deleted", "pending_delete"}
            and may_list(case, viewer, visibility, member_status)
        ]
        assert len(listed) == len({one.id for one in listed})
        assert sorted(one.id for one in listed) == sorted(expected), (viewer, member_status)
        if viewer.project_id == "b":
            by_id = {case.id: case for case in CASES}
            assert all(one.membership == by_id[one.id].membership(viewer) for one in listed)


@pytest.mark.parametrize("visibility", ["", "nonsense", "PUBLIC"])
def test_visibilities_that_do_not_exist_list_nothing(filled: Backend, visibility: str) -> None:
    for viewer in VIEWERS:
        assert filled.database.list_images(ListQuery(visibility=visibility), viewer) == []


def test_markers_follow_single_reads(filled: Backend) -> None:
    for viewer in VIEWERS:
        for case in CASES:
            query = ListQuery(marker=case.id, limit=1)
            if may_read(case, viewer):
                filled.database.list_images(query, viewer)
            else:
                with pytest.raises(Forbidden):
                    filled.database.list_images(query, viewer)


def test_markers_that_name_nothing(filled: Backend) -> None:
    filled.database.delete_without_data(CASES[0].id)
    for viewer in VIEWERS:
        deleted = () if viewer.is_admin else (CASES[0].id,)
        for marker in (*deleted, "nothing", "x" * 37, "\U0001f600", "\x00", ""):
            with pytest.raises(MarkerUnknown):
                filled.database.list_images(ListQuery(marker=marker), viewer)
