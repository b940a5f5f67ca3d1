"""The rules in force: the operator's over the defaults, translated as a whole (images-api 8.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import cast

import msgspec
from oslo_policy import _checks as nodes
from oslo_policy import _parser as parser

from glimpse.domain.image import Image
from glimpse.policy.conditions import Condition, Foreign, Translator
from glimpse.policy.files import FileRule, PolicyError
from glimpse.policy.rules import RuleDefault
from glimpse.policy.target import likeness

LOG = logging.getLogger(__name__)


class Ruleset(msgspec.Struct, frozen=True, kw_only=True):
    """All rules at one time. ``fallback`` is the default rule, ``likeness`` that of images for ``get_image``.

    ``admin`` is ``context_is_admin``, which every request asks first.
    ``overridden`` are the names of those that files have,
    ``verdicts`` are decisions made by these rules that need not be made again.
    """

    conditions: dict[str, Condition]
    fallback: Condition
    admin: Condition
    likeness: Callable[[Image], Hashable]
    overridden: frozenset[str] = frozenset()
    verdicts: dict[Hashable, bool] = msgspec.field(default_factory=dict[Hashable, bool])

    def find(self, name: str) -> Condition:
        """The rule of that name, else the default rule."""
        return self.conditions.get(name, self.fallback)


def checks_of(
    defaults: Sequence[RuleDefault], overrides: Mapping[str, FileRule], *, new_defaults: bool
) -> dict[str, nodes.BaseCheck]:
    """The check tree of every rule, where ``overrides`` replace ``defaults`` (images-api 8.1).

    :raises PolicyError: an override is not of the policy language.
    """
    checks = {name: _parse_override(f"{given.path}: rule {name}", given) for name, given in overrides.items()}
    for rule in defaults:
        if rule.name not in overrides:
            checks[rule.name] = _default_of(rule, checks, overrides, new_defaults=new_defaults)
    return checks


def build_ruleset(
    checks: Mapping[str, nodes.BaseCheck], default_rule: str, foreign: Foreign, *, overridden: Iterable[str] = ()
) -> Ruleset:
    """Translate the trees of all rules.

    :raises PolicyError: a rule refers to itself, or uses a substitution that cannot work.
    """
    translator = Translator(checks, default_rule, foreign)
    conditions = {name: translator.rule(name) for name in checks}
    fallback = translator.rule(default_rule)
    seen = conditions.get("get_image", fallback)
    admin = conditions.get("context_is_admin", fallback)
    return Ruleset(
        conditions=conditions,
        fallback=fallback,
        admin=admin,
        likeness=likeness(seen.names),
        overridden=frozenset(overridden),
    )


def warn_of_unknown_references(checks: Mapping[str, nodes.BaseCheck], default_rule: str) -> None:
    """Log references to rules that do not exist, which mean the default rule, often to an operator's surprise."""
    for name, check in checks.items():
        unknown = sorted(set(_references(check)).difference(checks))
        if unknown:
            LOG.warning(
                "Policy rule %s refers to %s, unknown: rule %s decides.", name, ", ".join(unknown), default_rule
            )


def _default_of(
    rule: RuleDefault,
    checks: Mapping[str, nodes.BaseCheck],
    overrides: Mapping[str, FileRule],
    *,
    new_defaults: bool,
) -> nodes.BaseCheck:
    check = _parse_default(rule.check)
    before = rule.deprecated
    if before is None:
        return check
    if before.name is not None and before.name in overrides:
        # An override that only points to the new rule was written for the change, and keeps nothing.
        old = checks[before.name]
        if str(old) != f"rule:{rule.name}" and old != _parse_default(before.check):
            LOG.warning("Policy rule %s is named %s since %s.", before.name, rule.name, before.since)
            return old
    if new_defaults or before.check == rule.check:
        return check
    return nodes.OrCheck([check, _parse_default(before.check)])


@cache
def _parse_default(text: str) -> nodes.BaseCheck:
    return _parse_text("default", text)


def _parse_override(where: str, given: FileRule) -> nodes.BaseCheck:
    """The tree of one rule of a file; the parser's own entry makes "never" of what it does not understand."""
    text = given.text
    if isinstance(text, str):
        words = [word.lstrip("(").rstrip(")") for word in text.split()]
        _refuse_unknown(where, [word for word in words if word and word.lower() not in {"and", "or", "not"}])
        return _parse_text(where, text)
    words = [word for group in text for word in (cast("list[object]", group) if isinstance(group, list) else [group])]
    _refuse_unknown(where, words)
    return parser.parse_rule(cast("list[list[str]]", text))


def _refuse_unknown(where: str, words: Sequence[object]) -> None:
    for word in words:
        if not isinstance(word, str) or (word not in {"!", "@"} and ":" not in word):
            raise PolicyError(f"{where}: {word!r} is not a check, which has the form kind:value")


def _parse_text(where: str, text: str) -> nodes.BaseCheck:
    if not text:
        return nodes.TrueCheck()
    state = parser.ParseState()
    # The parser's entry for texts logs a traceback and answers "never"; this way the error reaches the operator.
    tokens = parser._parse_tokenize(text)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for token in tokens:
        state.shift(token)
    try:
        return state.result
    except ValueError as error:
        raise PolicyError(f"{where}: {text!r} is not of the policy language") from error


def _references(check: nodes.BaseCheck) -> Iterator[str]:
    match check:
        case nodes.RuleCheck():
            yield check.match
        case nodes.AndCheck() | nodes.OrCheck():
            for part in check.rules:
                yield from _references(part)
        case nodes.NotCheck():
            yield from _references(check.rule)
        case _:
            return
