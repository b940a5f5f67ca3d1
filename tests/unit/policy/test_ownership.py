"""With ``enforce_new_defaults`` off, owners decide (images-api 8.3)."""

from __future__ import annotations

import pytest

from glimpse.domain.status import Visibility
from glimpse.errors import Forbidden
from glimpse.policy.engine import OsloPolicy
from tests.unit.policy.callers import caller, image

OWNER_ONLY = (
    "modify_image",
    "upload_image",
    "delete_image",
    "deactivate",
    "reactivate",
    "add_member",
    "delete_member",
)


@pytest.fixture
def legacy(make_policy) -> OsloPolicy:
    return make_policy(enforce_new_defaults=False)


@pytest.mark.parametrize("rule", [*OWNER_ONLY, "delete_image_location"])
def test_owners_only(legacy: OsloPolicy, rule: str) -> None:
    public = image(Visibility.PUBLIC)
    assert legacy.allows_image(caller(), rule, public)
    assert not legacy.allows_image(caller("member", "reader", project="other"), rule, public)
    assert legacy.allows_image(caller("admin", project="other"), rule, public)
    with pytest.raises(Forbidden):
        legacy.require_image(caller(project="other"), rule, public)


@pytest.mark.parametrize("rule", OWNER_ONLY)
def test_images_without_an_owner_are_for_admins(legacy: OsloPolicy, rule: str) -> None:
    ownerless = image(Visibility.PUBLIC, owner=None)
    assert not legacy.allows_image(caller("member", project=None), rule, ownerless)
    assert legacy.allows_image(caller("admin"), rule, ownerless)


def test_memberships_are_accepted_by_others(legacy: OsloPolicy) -> None:
    shared = image(Visibility.SHARED)
    assert legacy.allows_image(caller(project="other"), "modify_member", shared)
    assert not legacy.allows_image(caller(), "modify_member", shared)
    assert legacy.allows_image(caller("admin"), "modify_member", shared)


def test_creation_for_oneself(legacy: OsloPolicy) -> None:
    assert legacy.allows(caller(), "add_image", {"project_id": "mine", "owner": "mine"})
    assert not legacy.allows(caller(), "add_image", {"project_id": "other", "owner": "other"})
    assert legacy.allows(caller("admin"), "add_image", {"project_id": "other", "owner": "other"})


def test_reading_is_not_the_owners_affair(legacy: OsloPolicy) -> None:
    assert legacy.allows_image(caller(project="other"), "get_image", image(Visibility.SHARED))
    assert legacy.allows_image(caller(project="other"), "download_image", image(Visibility.SHARED))
