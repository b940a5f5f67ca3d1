"""Explains why a rule allows or refuses: walks its parsed tree and records the result of every part."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from oslo_policy import _checks as nodes

from glimpse.context import Context
from glimpse.policy.conditions import Translator
from glimpse.policy.effective import RulesInForce
from glimpse.policy.target import ALWAYS_OWNED, Credentials, Target, credentials_of, ownership_allows, owns

#: The rule that decides whether a caller is an administrator.
ADMIN_RULE = "context_is_admin"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a rule: its text, whether it holds, why, and its own parts.

    ``joined`` is ``and``, ``or`` or ``not`` for a combination, ``rule`` the rule that contains the part, ``refers_to``
    the rule that a reference names.
    """

    text: str
    holds: bool
    rule: str
    why: str = ""
    joined: str = ""
    refers_to: str | None = None
    parts: tuple[Step, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The result; ``hindrance`` is the reason of a refusal although the rule itself holds."""

    allowed: bool
    step: Step
    hindrance: str = ""


def explain(rules: RulesInForce, name: str, context: Context, target: Target) -> Explanation:
    """Decide like the service, and record how.

    :raises Unavailable: the rule calls another service, which does not answer.
    """
    if name == ADMIN_RULE:
        # the service checks it for the caller alone, before anything else, regardless of scope
        step = _Walk(rules, name, credentials_of(context), {}).rule(name, name)
        return Explanation(allowed=step.holds, step=step)
    step = _Walk(rules, name, credentials_of(context), target).rule(name, name)
    hindrance = ""
    if not context.project_scoped:
        hindrance = "every rule refuses an identity that is scoped to the system or to a domain"
    elif name in ALWAYS_OWNED and not owns(context, target.get("owner")):
        hindrance = "only the project that owns the image or an administrator may do this, whatever the rule says"
    elif not rules.settings.enforce_new_defaults and not ownership_allows(context, name, target.get("owner")):
        hindrance = "with enforce_new_defaults = false, ownership decides too, and it refuses"
    return Explanation(allowed=step.holds and not hindrance, step=step, hindrance=hindrance)


def decisive(step: Step) -> Iterator[Step]:
    """Return the smallest parts that decide the result, in the order of evaluation."""
    if not step.parts or step.joined == "not":
        yield step
    elif step.joined == ("or" if step.holds else "and"):
        yield from decisive(next(part for part in step.parts if part.holds is step.holds))
    else:
        for part in step.parts:
            yield from decisive(part)


class _Walk:
    def __init__(self, rules: RulesInForce, asked: str, credentials: Credentials, target: Target) -> None:
        self._rules = rules
        self._asked = asked
        self._credentials = credentials
        self._target = target

    def rule(self, name: str, within: str) -> Step:
        """Evaluate the rule ``name``, to which the rule ``within`` refers."""
        node = self._rules.node(name)
        if node is None:
            return Step(
                text=f"rule:{name}", holds=False, rule=within, why="there is neither such a rule nor a default rule"
            )
        known = self._rules.known(name)
        decides = name if known else self._rules.settings.policy_default_rule
        inner = self._node(node, decides)
        why = "" if known else f"there is no such rule, so {decides} applies"
        return Step(
            text=f"rule:{name}", holds=inner.holds, rule=within, why=why, joined="or", parts=(inner,), refers_to=name
        )

    def _node(self, node: nodes.BaseCheck, rule: str) -> Step:
        match node:
            case nodes.AndCheck():
                return self._joined(node, "and", rule)
            case nodes.OrCheck():
                return self._joined(node, "or", rule)
            case nodes.NotCheck():
                part = self._node(node.rule, rule)
                return Step(text=str(node), holds=not part.holds, rule=rule, joined="not", parts=(part,))
            case nodes.RuleCheck():
                return self.rule(node.match, rule)
            case _:
                return self._leaf(node, rule)

    def _joined(self, node: nodes.AndCheck | nodes.OrCheck, word: str, rule: str) -> Step:
        parts = tuple(self._node(part, rule) for part in node.rules)
        answers = [part.holds for part in parts]
        holds = all(answers) if word == "and" else any(answers)
        text = str(node).removeprefix("(").removesuffix(")")
        return Step(text=text, holds=holds, rule=rule, joined=word, parts=parts)

    def _leaf(self, node: nodes.BaseCheck, rule: str) -> Step:
        # under the name of the requested rule, which the other service is told
        condition = Translator({self._asked: node}, self._asked, self._rules.foreign).rule(self._asked)
        holds = condition.decide(self._credentials, self._target)
        return Step(text=str(node), holds=holds, rule=rule, why=self._why(node))

    def _why(self, node: nodes.BaseCheck) -> str:
        match node:
            case nodes.TrueCheck():
                return "always"
            case nodes.FalseCheck():
                return "never"
            case nodes.RoleCheck():
                return f"the roles are {', '.join(self._credentials['roles']) or 'none'}"
            case nodes.GenericCheck():
                return self._compared(node.kind, node.match)
            case _:
                return "asked elsewhere"

    def _compared(self, kind: str, template: str) -> str:
        try:
            wanted = repr(template % self._target)
        except KeyError as missing:
            wanted = f"the target has no {missing.args[0]}"
        if kind in self._credentials:
            return f"the caller's {kind} is {self._credentials[kind]!r}, compared with {wanted}"
        if kind[:1] in {"'", '"'} or kind in {"True", "False", "None"} or kind.isdigit():
            return f"compared with {wanted}"
        return f"the caller has no {kind}"
