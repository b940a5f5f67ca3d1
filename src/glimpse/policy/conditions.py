"""Compiles check trees of oslo.policy to closures, and records which attributes of a target they read.

For every check, oslo.policy inspects how to call each node, which takes some hundred microseconds; the closures give
the same answers in one or two. The node types are in a module of oslo.policy whose name marks it as private; there is
no public one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Final, cast

import msgspec
from oslo_policy import _checks as nodes

from glimpse.policy.files import PolicyError
from glimpse.policy.target import ABSENT, ALIASES, Credentials, Target

Decide = Callable[[Credentials, Target], bool]

#: Compiles a node that calls out of the process (``http:``, plug-ins), for the rule of that name.
Foreign = Callable[[nodes.BaseCheck, str], Decide]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One compiled rule.

    ``names`` are the target attributes that it reads, ``extra`` those that not every image target has. ``extra`` is
    None for an external check, which may read anything and depend on more than credentials and target. ``monotone``
    means that more attributes in the target never turn yes into no.
    """

    decide: Decide
    names: frozenset[str] = frozenset()
    extra: frozenset[str] | None = frozenset()
    monotone: bool = True


NEVER: Final = Condition(decide=lambda _credentials, _target: False)
ALWAYS: Final = Condition(decide=lambda _credentials, _target: True)

#: Node types that can be compiled. A subclass may do anything, so it is treated as external.
_TRANSLATED = frozenset(
    {
        nodes.AndCheck,
        nodes.OrCheck,
        nodes.NotCheck,
        nodes.TrueCheck,
        nodes.FalseCheck,
        nodes.RuleCheck,
        nodes.RoleCheck,
        nodes.GenericCheck,
    }
)

#: A substitution without a name would be replaced by the whole target as text.
_NAMELESS = re.compile(r"%(?!\()")


class Translator:
    """Compiles a set of rules, replacing references by the referenced rules."""

    def __init__(self, checks: Mapping[str, nodes.BaseCheck], default_rule: str, foreign: Foreign) -> None:
        """``checks`` are the trees by rule name; references to unknown names mean ``default_rule``."""
        self._checks = checks
        self._default_rule = default_rule
        self._foreign = foreign
        self._known: dict[str, Condition] = {}
        self._path: list[str] = []

    def rule(self, name: str) -> Condition:
        """Return the condition of one rule; never true if neither it nor the default rule exists.

        :raises PolicyError: the rule refers to itself, or has an invalid substitution.
        """
        if name in self._known:
            return self._known[name]
        check = self._checks.get(name)
        if check is None:
            check = self._checks.get(self._default_rule)
            name = self._default_rule
        if check is None:
            return NEVER
        if name in self._path:
            raise PolicyError(f"rule {name}: refers to itself: {' → '.join([*self._path, name])}")
        self._path.append(name)
        condition = self._translate(check)
        self._path.pop()
        if condition.extra is not None:
            self._known[name] = condition
        return condition

    def _translate(self, check: nodes.BaseCheck) -> Condition:
        if type(check) not in _TRANSLATED:
            return Condition(decide=self._foreign(check, self._path[0]), extra=None, monotone=False)
        match check:
            case nodes.AndCheck():
                return _all_of([self._translate(part) for part in check.rules])
            case nodes.OrCheck():
                return _any_of([self._translate(part) for part in check.rules])
            case nodes.NotCheck():
                return _opposite(self._translate(check.rule))
            case nodes.TrueCheck():
                return ALWAYS
            case nodes.RuleCheck():
                return self.rule(check.match)
            case nodes.RoleCheck():
                return self._leaf(_role(check.match), check.match)
            case nodes.GenericCheck():
                return self._leaf(_comparison(check.kind, check.match), check.match)
            case _:
                return NEVER

    def _leaf(self, decide: Decide, template: str) -> Condition:
        names = _names_in(template, self._path[-1])
        return Condition(decide=decide, names=names, extra=names - ALIASES)


def _combined(decide: Decide, parts: list[Condition]) -> Condition:
    names = frozenset[str]().union(*(part.names for part in parts))
    return Condition(
        decide=decide,
        names=names,
        extra=None if any(part.extra is None for part in parts) else names - ALIASES,
        monotone=all(part.monotone for part in parts),
    )


def _all_of(parts: list[Condition]) -> Condition:
    decisions = tuple(part.decide for part in parts)

    def decide(credentials: Credentials, target: Target) -> bool:
        for decision in decisions:  # noqa: SIM110 - all() would cost a generator in every check
            if not decision(credentials, target):
                return False
        return True

    return _combined(decide, parts)


def _any_of(parts: list[Condition]) -> Condition:
    decisions = tuple(part.decide for part in parts)

    def decide(credentials: Credentials, target: Target) -> bool:
        for decision in decisions:  # noqa: SIM110 - any() would cost a generator in every check
            if decision(credentials, target):
                return True
        return False

    return _combined(decide, parts)


def _opposite(part: Condition) -> Condition:
    inner = part.decide
    return Condition(
        decide=lambda credentials, target: not inner(credentials, target),
        names=part.names,
        extra=part.extra,
        monotone=part.extra is not None and not part.names,
    )


def _role(template: str) -> Decide:
    if "%" not in template:
        role = template.lower()
        return lambda credentials, _target: role in credentials["roles"]

    def decide(credentials: Credentials, target: Target) -> bool:
        try:
            wanted = template % target
        except KeyError:
            return False
        return wanted.lower() in credentials["roles"]

    return decide


def _comparison(kind: str, template: str) -> Decide:
    """``kind`` is a literal or the name of a credential; ``template`` is text with substitutions from the target."""
    try:
        literal = str(ast.literal_eval(kind))
    except (ValueError, SyntaxError):
        return _credential_is(kind, template)
    sole = _sole_name(template)

    def decide(_credentials: Credentials, target: Target) -> bool:
        if sole is not None:
            value = target.get(sole, ABSENT)
            return value is not ABSENT and str(value) == literal
        try:
            return template % target == literal
        except KeyError:
            return False

    return decide


def _credential_is(name: str, template: str) -> Decide:
    sole = _sole_name(template)

    def decide(credentials: Credentials, target: Target) -> bool:
        if sole is not None:
            wanted = target.get(sole, ABSENT)
            if wanted is ABSENT:
                return False
            wanted = str(wanted)
        else:
            try:
                wanted = template % target
            except KeyError:
                return False
        value: object = credentials.get(name, ABSENT)
        if value is ABSENT:
            return False
        if isinstance(value, list):
            return wanted in cast("list[str]", value)
        return str(value) == wanted

    return decide


def _sole_name(template: str) -> str | None:
    """Return ``x`` of ``%(x)s``, the form of nearly all substitutions."""
    if template.startswith("%(") and template.endswith(")s"):
        name = template[2:-2]
        if not set(name) & set("()%"):
            return name
    return None


class _Recorder(dict[str, int]):
    """A target that has every attribute and records which ones are read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def __missing__(self, name: str) -> int:
        self.asked.add(name)
        return 0


def _names_in(template: str, rule: str) -> frozenset[str]:
    recorder = _Recorder()
    if _NAMELESS.search(template.replace("%%", "")):
        raise PolicyError(f"rule {rule}: {template!r} has a substitution that is not of the form %(name)s")
    try:
        _ = template % recorder
    except (ValueError, TypeError) as error:
        raise PolicyError(f"rule {rule}: {template!r} cannot be substituted: {error}") from error
    return frozenset(recorder.asked)
