"""The closures give the answers that oslo.policy itself gives."""

from __future__ import annotations

from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_policy import policy as oslo

from glimpse.context import Context
from glimpse.policy.external_checks import ExternalChecks
from glimpse.policy.files import FileRule, PolicyError
from glimpse.policy.ruleset import build_ruleset, checks_of
from glimpse.policy.target import credentials_of

NAMES = ("alpha", "beta", "gamma")
VALUES = ("mine", "other", "admin", "None", "True", "public")

checks = st.sampled_from(
    [
        "@",
        "!",
        "role:admin",
        "role:ADMIN",
        "role:%(wanted)s",
        "role:%(wanted)s-%(project_id)s",
        "roles:admin",
        "project_id:%(project_id)s",
        "project_id:%(missing)s",
        "project_id:mine",
        "project_id:%%(project_id)s",
        "user_id:%(project_id)s",
        "unknown_credential:%(project_id)s",
        "some.deep.path:%(project_id)s",
        "is_admin:True",
        "'public':%(visibility)s",
        "'public':%(visibility)sx",
        "None:%(project_id)s",
        "True:%(flag)s",
        "1:%(number)s",
        "rule:alpha",
        "rule:beta",
        "rule:gamma",
        "rule:missing",
    ]
)
rule_texts = st.recursive(
    checks,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: f"({' and '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: f"({' or '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=4).map(" or ".join),
        st.lists(inner, min_size=2, max_size=4).map(" AND ".join),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=8,
)
list_rules = st.lists(
    st.one_of(checks, st.lists(checks, min_size=1, max_size=3)),
    max_size=3,
)
contexts = st.builds(
    Context,
    request_id=st.just("req-1"),
    user_id=st.sampled_from(["mine", None]),
    project_id=st.sampled_from(["mine", "other", None]),
    roles=st.frozensets(st.sampled_from(["admin", "member", "mine", "other-mine"])),
    is_admin=st.booleans(),
)
targets = st.fixed_dictionaries(
    {},
    optional={
        "project_id": st.sampled_from(["mine", "other", None]),
        "visibility": st.sampled_from(["public", "private"]),
        "wanted": st.sampled_from(["Admin", "member", "other"]),
        "flag": st.booleans(),
        "number": st.integers(0, 2),
    },
)


@settings(max_examples=400, deadline=None)
@given(
    rules=st.fixed_dictionaries(dict.fromkeys(NAMES, rule_texts | list_rules)),
    default=st.sampled_from(["@", "!", None]),
    context=contexts,
    target=targets,
)
def test_same_answers(
    rules: dict[str, str | list[object]], default: str | None, context: Context, target: dict[str, object]
) -> None:
    if default is not None:
        rules = {**rules, "default": default}
    trees = checks_of(
        (), {name: FileRule(text, Path("policy.yaml")) for name, text in rules.items()}, new_defaults=True
    )
    try:
        ours = build_ruleset(trees, "default", ExternalChecks(trees, "default", {}).decider)
    except PolicyError as error:
        assume("refers to itself" not in str(error))
        raise
    enforcer = oslo.Enforcer(cfg.ConfigOpts(), use_conf=False)
    enforcer.set_rules(oslo.Rules.from_dict(rules, "default"))
    for name in (*NAMES, "unheard_of"):
        theirs = enforcer.enforce(name, target, dict(credentials_of(context)))
        assert ours.find(name).decide(credentials_of(context), target) is bool(theirs), name
        if ours.find(name).monotone and ours.find(name).decide(credentials_of(context), {}):
            assert theirs
