"""``glimpse policy`` shows what the service does."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest

from glimpse.domain.status import Visibility
from glimpse.policy.effective import RulesInForce
from glimpse.policy.engine import OsloPolicy
from glimpse.policy.explain import ADMIN_RULE, Step, decisive, explain
from glimpse.policy.rules import RULES, Deprecated, RuleDefault
from glimpse.policy.target import image_target
from glimpse.settings.model import PolicySettings
from tests.unit.policy.callers import caller, image

CALLERS = [
    caller("admin"), caller("member", "reader"), caller("reader"), caller(), caller("service"),
    caller("member", "reader", project="other"), caller("member", "reader", project=None),
    caller("admin", system_scope="all"), caller("reader", domain_id="d"),
]  # fmt: skip
IMAGES = [image(visibility, owner) for visibility, owner in itertools.product(Visibility, ("mine", "theirs", None))]
FILE = """
modify_image: "not (role:reader or rule:missing) and @"
delete_image: [["role:admin"], ["role:member", "project_id:%(project_id)s"]]
get_image: "'private':%(visibility)s and rule:modify_image or %(status)s:active"
upload_image: "project_id:%(none)s or role:%(owner)s"
add_member: ""
"""


@pytest.mark.parametrize("new_defaults", [True, False])
@pytest.mark.parametrize("content", ["", FILE])
def test_explanations_agree_with_the_engine(tmp_path: Path, content: str, new_defaults: bool) -> None:
    (tmp_path / "policy.yaml").write_text(content)
    settings = PolicySettings(config_dirs=(tmp_path,), enforce_new_defaults=new_defaults)
    policy, rules = OsloPolicy(settings), RulesInForce(settings)
    for context, one in itertools.product(CALLERS, IMAGES):
        target = image_target(context, one, None)
        for rule in (*(rule.name for rule in RULES), "unknown"):
            explanation = explain(rules, rule, context, target)
            # the one rule that is never asked about an image
            decided = policy.is_admin(context) if rule == ADMIN_RULE else policy.allows_image(context, rule, one)
            assert explanation.allowed == decided, (rule, context, one)
            assert all(part.holds is explanation.step.holds for part in decisive(explanation.step))
            assert list(decisive(explanation.step))


def leaf(text: str, *, holds: bool) -> Step:
    return Step(text=text, holds=holds, rule="r")


def test_decisive_parts() -> None:
    yes, no, other = leaf("yes", holds=True), leaf("no", holds=False), leaf("other", holds=False)
    both = Step(text="", holds=False, rule="r", joined="and", parts=(yes, no, other))
    assert list(decisive(both)) == [no]
    assert list(decisive(Step(text="", holds=True, rule="r", joined="or", parts=(no, yes)))) == [yes]
    assert list(decisive(Step(text="", holds=False, rule="r", joined="or", parts=(other, both)))) == [other, no]
    negation = Step(text="not yes", holds=False, rule="r", joined="not", parts=(yes,))
    assert list(decisive(negation)) == [negation]


def test_a_rule_under_its_deprecated_name(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("old_name: 'role:x'\n")
    defaults = (
        RuleDefault("default", "!", "do nothing"),
        RuleDefault("new_name", "role:y", "do it", Deprecated("role:z", "Xena", "old_name")),
    )
    found = RulesInForce(PolicySettings(config_dirs=(tmp_path,)), defaults=defaults).rule("new_name")
    assert found.check == "role:x"
    assert found.origin == f"{tmp_path / 'policy.yaml'}, under the deprecated name old_name"
    assert found.deprecated == "old_name: role:z (until Xena)"


def test_what_is_told_can_be_written_as_json() -> None:
    rules = RulesInForce(PolicySettings())
    assert len(msgspec.json.decode(msgspec.json.encode(rules.rules()))) == len(RULES)
