"""Sharing images: members listed, added, changed and removed (images-api 3.9; database 3.4 and 7.5)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from glimpse.db.records import Viewer
from glimpse.db.sql.tables import image_members, images
from glimpse.domain.image import ImageChange, Member
from glimpse.domain.listing import ListQuery
from glimpse.domain.status import MemberStatus, Status, Visibility
from glimpse.errors import Duplicate, Invalid, LimitExceeded, NotFound
from tests.contract.db.backends import Backend
from tests.contract.db.examples import ADMIN, NOBODY, OWNER, STRANGER, image
from tests.contract.db.test_concurrency import together

NO_LIMIT = -1
PENDING, ACCEPTED, REJECTED = MemberStatus


@pytest.fixture
def shared(backend: Backend) -> str:
    """A shared image of project-a, without members."""
    stored = image(visibility=Visibility.SHARED, status=Status.ACTIVE)
    backend.database.create_image(stored)
    return stored.id


def add(backend: Backend, image_id: str, member_id: str, maximum: int = NO_LIMIT) -> Member:
    return backend.database.add_member(image_id, member_id, maximum=maximum)


def names(backend: Backend, image_id: str, viewer: Viewer, **only: Any) -> list[str]:
    return sorted(member.member_id for member in backend.database.list_members(image_id, viewer, **only))


def test_what_is_added_is_pending_and_read_back(backend: Backend, shared: str) -> None:
    added = add(backend, shared, "project-b")
    assert (added.image_id, added.member_id, added.status) == (shared, "project-b", PENDING)
    assert added.created_at == added.updated_at
    assert backend.database.list_members(shared, OWNER) == [added]
    [row] = backend.rows(image_members)
    assert (row["can_share"], row["deleted"], row["deleted_at"]) == (False, False, None)


def test_who_sees_which_members(backend: Backend, shared: str) -> None:
    for member in ("project-b", "project-c"):
        add(backend, shared, member)
    assert names(backend, shared, OWNER) == ["project-b", "project-c"]
    assert names(backend, shared, ADMIN) == ["project-b", "project-c"]
    assert names(backend, shared, STRANGER) == ["project-b"]
    assert names(backend, shared, Viewer("project-d")) == []
    assert names(backend, shared, NOBODY) == []
    assert names(backend, shared, OWNER, member_id="project-c") == ["project-c"]
    assert names(backend, shared, STRANGER, member_id="project-c") == []
    assert names(backend, shared, ADMIN, member_id="nobody") == []


def test_an_image_without_owner_shows_nobody_the_others(backend: Backend) -> None:
    stored = image(owner=None)
    backend.database.create_image(stored)
    add(backend, stored.id, "project-b")
    assert names(backend, stored.id, NOBODY) == []
    assert names(backend, stored.id, Viewer("project-c")) == []
    assert names(backend, stored.id, STRANGER) == ["project-b"]


def test_the_members_of_other_images_are_not_listed(backend: Backend, shared: str) -> None:
    other = image()
    backend.database.create_image(other)
    add(backend, other.id, "project-b")
    assert names(backend, shared, ADMIN) == []


def test_a_project_is_added_once(backend: Backend, shared: str) -> None:
    add(backend, shared, "project-b")
    with pytest.raises(Duplicate):
        add(backend, shared, "project-b")
    assert len(backend.rows(image_members)) == 1


def test_the_limit_comes_before_the_duplicate(backend: Backend, shared: str) -> None:
    add(backend, shared, "project-b", 2)
    add(backend, shared, "project-c", 2)
    for member in ("project-b", "project-d"):
        with pytest.raises(LimitExceeded, match=r"members.*3.*2"):
            add(backend, shared, member, 2)
    add(backend, shared, "project-d", 3)
    with pytest.raises(LimitExceeded):
        add(backend, shared, "project-e", 0)
    backend.database.remove_member(shared, "project-b")
    add(backend, shared, "project-e", 3)


def test_status_in_every_direction(backend: Backend, shared: str) -> None:
    added = add(backend, shared, "project-b")
    for status in (ACCEPTED, REJECTED, ACCEPTED, PENDING, PENDING):
        changed = backend.database.set_member_status(shared, "project-b", status)
        assert (changed.status, changed.created_at) == (status, added.created_at)
        assert changed.updated_at >= added.updated_at
        assert backend.database.list_members(shared, STRANGER) == [changed]
        assert backend.database.get_image(shared, STRANGER).membership == status


def test_a_removed_member_is_gone_at_once_and_its_row_is_revived(backend: Backend, shared: str) -> None:
    first = add(backend, shared, "project-b")
    backend.database.set_member_status(shared, "project-b", ACCEPTED)
    # as if it had been added long ago
    long_ago = datetime(2020, 1, 1)  # noqa: DTZ001 - naive UTC, as everywhere in the database
    backend.execute(image_members.update().values(created_at=long_ago))
    removed = backend.database.remove_member(shared, "project-b")
    assert (removed.member_id, removed.status, removed.created_at) == ("project-b", ACCEPTED, long_ago)
    [row] = backend.rows(image_members)
    assert (row["deleted"], row["deleted_at"]) == (True, removed.updated_at)
    assert names(backend, shared, ADMIN) == []
    with pytest.raises(NotFound):
        backend.database.get_image(shared, STRANGER)

    again = add(backend, shared, "project-b")
    assert (again.status, again.created_at) == (PENDING, long_ago)
    assert again.updated_at >= first.updated_at
    [revived] = backend.rows(image_members)
    assert revived["id"] == row["id"]
    assert (revived["deleted"], revived["deleted_at"], revived["status"]) == (False, None, "pending")
    assert backend.database.get_image(shared, STRANGER).membership == PENDING


def test_removing_and_adding_within_one_second(backend: Backend, shared: str) -> None:
    for _ in range(5):
        add(backend, shared, "project-b")
        backend.database.remove_member(shared, "project-b")
    assert len(backend.rows(image_members)) == 1


def test_what_is_not_there(backend: Backend, shared: str) -> None:
    gone = image(status=Status.ACTIVE)
    backend.database.create_image(gone)
    add(backend, gone.id, "project-b")
    backend.database.delete_without_data(gone.id)
    assert backend.database.list_members(gone.id, ADMIN) == []
    for image_id in (gone.id, "unknown", "i" * 37, "\U0001f600"):
        with pytest.raises(NotFound):
            add(backend, image_id, "project-c")
        with pytest.raises(NotFound):
            backend.database.set_member_status(image_id, "project-b", ACCEPTED)
        with pytest.raises(NotFound):
            backend.database.remove_member(image_id, "project-b")
        assert backend.database.list_members(image_id, ADMIN) == []
    for member in ("project-b", "\U0001f600", "m" * 300, "nul\0"):
        with pytest.raises(NotFound):
            backend.database.set_member_status(shared, member, ACCEPTED)
        with pytest.raises(NotFound):
            backend.database.remove_member(shared, member)
        assert names(backend, shared, ADMIN, member_id=member) == []


@pytest.mark.parametrize("member", ["", "m" * 256, "\U0001f600", "nul\0", "half \ud800"])
def test_names_that_are_not_taken(backend: Backend, shared: str, member: str) -> None:
    with pytest.raises(Invalid):
        add(backend, shared, member)
    assert backend.rows(image_members) == []


@pytest.mark.parametrize("member", ["m", "m" * 255, "ä" * 255, "with/slash", " ", "%", "project-a"])
def test_names_that_are_taken(backend: Backend, shared: str, member: str) -> None:
    added = add(backend, shared, member)
    assert backend.database.list_members(shared, ADMIN) == [added]
    assert backend.database.list_members(shared, Viewer(member)) == [added]


def test_an_image_itself_is_not_touched(backend: Backend, shared: str) -> None:
    [before] = backend.rows(images)
    add(backend, shared, "project-b")
    backend.database.set_member_status(shared, "project-b", REJECTED)
    backend.database.remove_member(shared, "project-b")
    assert backend.rows(images) == [before]


def test_memberships_outlast_a_change_of_visibility(backend: Backend, shared: str) -> None:
    """images-api 3.9: away from ``shared`` they are kept and without effect."""
    add(backend, shared, "project-b")
    backend.database.set_member_status(shared, "project-b", ACCEPTED)
    backend.database.update_image(shared, ImageChange(columns={"visibility": Visibility.PRIVATE}))
    with pytest.raises(NotFound):
        backend.database.get_image(shared, STRANGER)
    assert backend.database.list_images(ListQuery(visibility="all", member_status="all"), STRANGER) == []
    backend.database.update_image(shared, ImageChange(columns={"visibility": Visibility.SHARED}))
    assert [one.id for one in backend.database.list_images(ListQuery(), STRANGER)] == [shared]


def test_two_live_rows_of_one_project(backend: Backend, shared: str) -> None:
    """Glance leaves such rows when two requests race (database 15.6)."""
    backend.share(shared, "project-b", "pending")
    backend.share(shared, "project-b", "rejected")
    assert names(backend, shared, OWNER) == ["project-b"]
    with pytest.raises(Duplicate):
        add(backend, shared, "project-b")
    changed = backend.database.set_member_status(shared, "project-b", ACCEPTED)
    assert [row["status"] for row in backend.rows(image_members)] == ["accepted", "accepted"]
    assert backend.database.list_members(shared, OWNER) == [changed]
    backend.database.remove_member(shared, "project-b")
    assert names(backend, shared, OWNER) == []
    with pytest.raises(NotFound):
        backend.database.get_image(shared, STRANGER)
    assert add(backend, shared, "project-b").status is PENDING


def test_revived_rows_of_glance_are_live(backend: Backend, shared: str) -> None:
    """Glance leaves the old ``deleted_at`` on them (database 6)."""
    backend.share(shared, "project-b", "accepted", deleted=True)
    backend.execute(image_members.update().values(deleted=False))
    assert names(backend, shared, STRANGER) == ["project-b"]
    backend.database.remove_member(shared, "project-b")
    add(backend, shared, "project-b")
    [row] = backend.rows(image_members)
    assert row["deleted_at"] is None


def test_one_of_many_adds_the_project(backend: Backend, shared: str) -> None:
    for _ in range(4):
        results = together([lambda: add(backend, shared, "project-b")] * 8)
        assert sum(isinstance(result, Member) for result in results) == 1
        assert sum(isinstance(result, Duplicate) for result in results) == 7
        assert sum(not row["deleted"] for row in backend.rows(image_members)) == 1
        backend.database.remove_member(shared, "project-b")


def test_one_of_many_takes_the_last_place(backend: Backend, shared: str) -> None:
    add(backend, shared, "first", 3)
    add(backend, shared, "second", 3)
    results = together([lambda number=number: add(backend, shared, f"project-{number}", 3) for number in range(8)])
    assert sum(isinstance(result, Member) for result in results) == 1
    assert sum(isinstance(result, LimitExceeded) for result in results) == 7
    assert len(names(backend, shared, OWNER)) == 3


def test_one_of_many_removes_the_project(backend: Backend, shared: str) -> None:
    add(backend, shared, "project-b")
    results = together([lambda: backend.database.remove_member(shared, "project-b")] * 6)
    assert sum(isinstance(result, Member) for result in results) == 1
    assert sum(isinstance(result, NotFound) for result in results) == 5


def test_sharing_against_deleting(backend: Backend) -> None:
    """However they meet, no live membership of a deleted image stays behind."""
    for _ in range(10):
        stored = image()
        backend.database.create_image(stored)
        added, deleted = together(
            [
                lambda image_id=stored.id: add(backend, image_id, "project-b"),
                lambda image_id=stored.id: backend.database.delete_without_data(image_id),
            ]
        )
        assert isinstance(added, Member | NotFound)
        assert not isinstance(deleted, Exception)
        assert all(row["deleted"] for row in backend.rows(image_members, image_id=stored.id))


def test_statements(backend: Backend, shared: str) -> None:
    for operation, most in (
        (lambda: add(backend, shared, "project-b"), 3),
        (lambda: backend.database.list_members(shared, OWNER), 1),
        (lambda: backend.database.set_member_status(shared, "project-b", ACCEPTED), 2),
        (lambda: backend.database.remove_member(shared, "project-b"), 3),
    ):
        with backend.counting() as statements:
            operation()
        assert len(statements) <= most, statements
