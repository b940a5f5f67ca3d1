"""The images of a page are decided in groups, not one by one (ARCHITECTURE.md, Identity)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from glimpse.domain.status import Visibility
from glimpse.policy.engine import OsloPolicy
from glimpse.policy.target import Credentials, Target
from tests.unit.policy.callers import caller, image


class Evaluations:
    """Counts how often ``get_image`` is decided."""

    def __init__(self, policy: OsloPolicy) -> None:
        rules = policy._rules
        condition = rules.conditions["get_image"]
        self._decide = condition.decide
        self.count = 0
        rules.conditions["get_image"] = msgspec.structs.replace(condition, decide=self)

    def __call__(self, credentials: Credentials, target: Target) -> bool:
        self.count += 1
        return self._decide(credentials, target)


def test_a_thousand_images_of_one_project(policy: OsloPolicy) -> None:
    images = [image(id=str(number)) for number in range(1000)]
    evaluations = Evaluations(policy)
    assert policy.visible(caller("reader"), images) == images
    assert evaluations.count <= 2


def test_admins_are_decided_once_for_all_projects(policy: OsloPolicy) -> None:
    images = [image(id=str(number), owner=f"project-{number}") for number in range(1000)]
    evaluations = Evaluations(policy)
    assert policy.visible(caller("admin"), images) == images
    assert evaluations.count == 1


def test_each_owner_and_visibility_is_decided_once(policy: OsloPolicy) -> None:
    images = [
        image(visibility, owner, id=f"{number}-{owner}-{visibility}")
        for number in range(50)
        for owner in ("mine", "other", None)
        for visibility in Visibility
    ]
    evaluations = Evaluations(policy)
    reader = caller("reader")
    seen = policy.visible(reader, iter(images))
    assert evaluations.count == 1 + 3 * 4
    assert seen == [one for one in images if policy.allows_image(reader, "get_image", one)]
    assert len(seen) == 50 * (4 + 3 + 3)


def test_callers_without_roles_see_nothing(policy: OsloPolicy) -> None:
    assert policy.visible(caller(), [image(Visibility.PUBLIC), image()]) == []


RULES = {
    "properties": "role:reader and 'blue':%(colour)s",
    "attributes": "role:reader and ('active':%(status)s or 'a':%(name)s) and project_id:%(owner)s",
    "times": "role:reader and not 'x':%(created_at)s",
    "negation": "not ('blue':%(colour)s and role:reader)",
    "constant": "not role:banned",
    "names of both": "role:reader and ('blue':%(colour)s or 'public':%(visibility)s or 'None':%(os_distro)s)",
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("roles", [("reader",), ("admin",), ("banned", "reader")])
def test_custom_rules_decide_as_one_by_one(make_policy, rule: str, roles: tuple[str, ...]) -> None:
    policy = make_policy({"policy.yaml": f'"get_image": "{rule}"'})
    images = list(_mixture())
    context = caller(*roles)
    expected = [one for one in images if policy.allows_image(context, "get_image", one)]
    evaluations = Evaluations(policy)
    assert policy.visible(context, images) == expected
    assert evaluations.count < len(images) / 2


def _mixture() -> Iterator:
    properties: tuple[dict[str, str | None], ...] = ({}, {"colour": "blue"}, {"colour": "red", "os_distro": None})
    for number in range(10):
        for name in ("a", None):
            for values in properties:
                for visibility in (Visibility.PRIVATE, Visibility.PUBLIC):
                    yield image(visibility, id=str(number), name=name, properties=values)
