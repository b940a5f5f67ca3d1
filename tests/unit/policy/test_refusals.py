"""Messages of refusals (images-api 8.1)."""

from __future__ import annotations

import pytest

from glimpse.domain.status import Visibility
from glimpse.errors import Forbidden, NotFound
from glimpse.policy.engine import OsloPolicy
from glimpse.policy.rules import RULES
from tests.unit.policy.callers import caller, image


def test_invisible_images_are_not_found(policy: OsloPolicy) -> None:
    hidden = image(Visibility.PRIVATE)
    for rule in ("get_image", "modify_image", "download_image"):
        with pytest.raises(NotFound, match=hidden.id):
            policy.require_image(caller("member", "reader", project="other"), rule, hidden)


def test_visible_images_are_forbidden(policy: OsloPolicy) -> None:
    with pytest.raises(Forbidden, match=r"delete this image .*delete_image"):
        policy.require_image(caller("member", "reader", project="other"), "delete_image", image(Visibility.PUBLIC))


def test_a_caller_who_only_writes_sees_nothing(policy: OsloPolicy) -> None:
    policy.require_image(caller("member"), "modify_image", image())
    with pytest.raises(NotFound):
        policy.require_image(caller("member"), "get_image", image())


def test_identities_without_a_project_scope(policy: OsloPolicy) -> None:
    context = caller("admin", project=None, system_scope="all")
    for rule in ("get_image", "modify_image", "download_image"):
        with pytest.raises(NotFound):
            policy.require_image(context, rule, image(Visibility.PUBLIC))
    with pytest.raises(Forbidden, match="project"):
        policy.require(context, "get_images", {})
    assert policy.visible(context, [image(Visibility.PUBLIC)]) == []


def test_plain_targets_are_forbidden(policy: OsloPolicy) -> None:
    policy.require(caller("reader"), "get_images", {"project_id": "mine"})
    with pytest.raises(Forbidden, match="list images"):
        policy.require(caller(), "get_images", {"project_id": "mine"})


def test_rules_without_a_sentence(make_policy) -> None:
    strict = make_policy({"policy.yaml": '"default": "!"'})
    with pytest.raises(Forbidden, match=r"do this .*no_such_rule"):
        strict.require(caller("member"), "no_such_rule", {})


def test_every_rule_completes_the_sentence() -> None:
    for rule in RULES:
        assert rule.action
        assert rule.action[0].islower()
        assert not rule.action.endswith(".")
