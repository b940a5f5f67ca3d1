"""The cost of a policy check, in Python calls (ARCHITECTURE.md, Identity)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import msgspec
import pytest

from glimpse.domain.status import Visibility
from glimpse.policy.engine import OsloPolicy
from glimpse.policy.rules import RULES
from tests.unit.policy.callers import caller, image


def calls_of(action: Callable[[], object]) -> int:
    """Number of Python functions that ``action`` calls, itself not counted."""
    count = 0

    def count_call(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(count_call)
    try:
        action()
    finally:
        sys.setprofile(before)
    return count - 1


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_a_check_of_a_new_context(policy: OsloPolicy, rule: str) -> None:
    shared = image(Visibility.SHARED)
    for number, roles in enumerate([("admin",), ("member", "reader"), ()]):
        context = msgspec.structs.replace(caller(*roles, project="other"), request_id=f"req-{rule}-{number}")
        assert calls_of(lambda context=context: policy.allows_image(context, rule, shared)) <= 25


def test_a_page_of_a_list(policy: OsloPolicy) -> None:
    images = [image(Visibility.SHARED, id=str(number)) for number in range(25)]
    assert calls_of(lambda: policy.visible(caller("reader"), images)) <= 40


def test_a_decision_is_made_once_for_images_that_are_alike(policy: OsloPolicy) -> None:
    first = msgspec.structs.replace(caller("reader"), request_id="req-one")
    later = msgspec.structs.replace(first, request_id="req-two")
    assert policy.allows_image(first, "get_image", image())
    assert calls_of(lambda: policy.allows_image(later, "get_image", image())) <= 3
    assert not policy.allows_image(later, "modify_image", image())
