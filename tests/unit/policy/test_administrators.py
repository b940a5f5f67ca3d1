"""Who is an administrator: ``context_is_admin`` sees all attributes of the caller, and decisions do not outlive their
rules.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from glimpse.context import Context
from glimpse.policy.effective import RulesInForce
from glimpse.policy.explain import explain
from glimpse.settings.model import PolicySettings
from tests.unit.policy.callers import image
from tests.unit.policy.test_budgets import calls_of


def who(**fields: object) -> Context:
    fields = {"user_id": "ann", "project_id": "hq", "roles": frozenset({"admin"}), **fields}
    return Context(request_id="req-1", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "administrator", "other"),
    [
        ("role:admin and not user_id:eve", {"user_id": "ann"}, {"user_id": "eve"}),
        ("user_id:ann", {"user_id": "ann", "roles": frozenset[str]()}, {"user_id": "eve"}),
        ("role:admin and system_scope:all", {"project_id": None, "system_scope": "all"}, {"system_scope": None}),
        ("role:admin and domain_id:default", {"project_id": None, "domain_id": "default"}, {"domain_id": "lab"}),
        ("role:admin and read_only:False", {}, {"read_only": True}),
        ("service_roles:service", {"service_roles": frozenset({"service"})}, {}),
        ("role:admin and project_id:hq", {"project_id": "hq"}, {"project_id": "lab"}),
    ],
)
def test_the_rule_sees_the_whole_caller(
    make_policy, rule: str, administrator: Mapping[str, object], other: Mapping[str, object]
) -> None:
    policy = make_policy({"policy.yaml": f'"context_is_admin": "{rule}"'})
    # both orders, so that no remembered verdict of the one can serve the other
    for callers in ((administrator, other), (other, administrator)):
        for fields in callers:
            assert policy.is_admin(who(**fields)) is (fields is administrator)
            assert policy.recall_admin(who(**fields)) is (fields is administrator)


def test_explain_sees_the_whole_caller_too(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text('"context_is_admin": "role:admin and not user_id:eve or system_scope:all"')
    rules = RulesInForce(PolicySettings(config_dirs=(tmp_path,)))
    assert explain(rules, "context_is_admin", who(), {}).allowed
    assert not explain(rules, "context_is_admin", who(user_id="eve"), {}).allowed
    system = explain(rules, "context_is_admin", who(user_id="eve", project_id=None, system_scope="all"), {})
    assert system.allowed
    assert not system.hindrance


def test_a_rule_that_asks_another_service_is_not_decided_without_waiting(make_policy) -> None:
    policy = make_policy({"policy.yaml": '"context_is_admin": "http://127.0.0.1:1/decide"'})
    assert policy.recall_admin(who()) is None


def test_a_known_administrator_costs_few_calls(make_policy) -> None:
    policy = make_policy({"policy.yaml": '"context_is_admin": "role:admin and not user_id:eve"'}, reload_interval=60.0)
    assert policy.recall_admin(who())
    assert calls_of(lambda: policy.recall_admin(who())) <= 6


@pytest.mark.parametrize("asks", ["recall_admin", "is_admin", "allows_image"])
def test_a_verdict_of_old_rules_does_not_outlive_them(make_policy, tmp_path: Path, asks: str) -> None:
    """The decision begins before the files change, and ends after the new rules are in force."""
    rule = "context_is_admin" if "admin" in asks else "get_image"
    policy = make_policy({"policy.yaml": f'"{rule}": "user_id:%(owner)s or user_id:ann"'}, reload_interval=0.0)
    began, go_on = threading.Event(), threading.Event()

    class SlowId(str):
        """A user id whose comparison waits for the files to change."""

        __slots__ = ()

        def __str__(self) -> str:
            began.set()
            assert go_on.wait(20)
            return "ann"

    def ask(user: str) -> bool:
        # an id of its own, since credentials are built once for equal contexts
        asking = msgspec.structs.replace(who(user_id=user), request_id=str(uuid.uuid4()))
        if asks == "allows_image":
            return policy.allows_image(asking, rule, image())
        return getattr(policy, asks)(asking)

    verdicts: list[bool] = []
    deciding = threading.Thread(target=lambda: verdicts.append(ask(SlowId("ann"))))
    deciding.start()
    assert began.wait(20)
    (tmp_path / "policy.yaml").write_text(f'"{rule}": "user_id:somebody-else-altogether"')
    assert not ask("bob")  # the new rules are in force
    go_on.set()
    deciding.join(20)
    assert verdicts == [True]
    assert not ask("ann")
