"""The rules in force: the defaults with the operator's overrides, compiled together (images-api 8.1)."""

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
    """All rules in force. ``fallback`` is the default rule, ``likeness`` groups images for ``get_image``.

    ``admin`` is ``context_is_admin``, which every request checks first. ``overridden`` are the names of rules in files,
    ``verdicts`` caches decisions of these rules.
    """

    conditions: dict[str, Condition]
    fallback: Condition
    admin: Condition
    likeness: Callable[[Image], Hashable]
    overridden: frozenset[str] = frozenset()
    verdicts: dict[Hashable, bool] = msgspec.field(default_factory=dict[Hashable, bool])

    def find(self, name: str) -> Condition:
        """Return the rule of that name, else the default rule."""
        return self.conditions.get(name, self.fallback)


def checks_of(
    defaults: Sequence[RuleDefault], overrides: Mapping[str, FileRule], *, new_defaults: bool
) -> dict[str, nodes.BaseCheck]:
    """Build the check tree of every rule; ``overrides`` replace ``defaults`` (images-api 8.1).

    :raises PolicyError: an override is not a valid policy expression.
    """
    checks = {name: _parse_override(f"{given.path}: rule {name}", given) for name, given in overrides.items()}
    for rule in defaults:
        if rule.name not in overrides:
            checks[rule.name] = _default_of(rule, checks, overrides, new_defaults=new_defaults)
    return checks


def build_ruleset(
    checks: Mapping[str, nodes.BaseCheck], default_rule: str, foreign: Foreign, *, overridden: Iterable[str] = ()
) -> Ruleset:
    """Compile the trees of all rules.

    :raises PolicyError: a rule refers to itself, or has an invalid substitution.
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
    """Log references to rules that do not exist; they mean the default rule, which often surprises operators."""
    for name, check in checks.items():
        unknown = sorted(set(_references(check)).difference(checks))
        if unknown:
            LOG.warning(
                "Policy rule %s refers to the unknown rule %s: rule %s applies instead.",
                name,
                ", ".join(unknown),
                default_rule,
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
        # An override that only refers to the new rule was written for the change and needs no old check.
        old = checks[before.name]
        if str(old) != f"rule:{rule.name}" and old != _parse_default(before.check):
            LOG.warning("Policy rule %s was renamed to %s in %s.", before.name, rule.name, before.since)
            return old
    if new_defaults or before.check == rule.check:
        return check
    return nodes.OrCheck([check, _parse_default(before.check)])


@cache
def _parse_default(text: str) -> nodes.BaseCheck:
    return _parse_text("default", text)


def _parse_override(where: str, given: FileRule) -> nodes.BaseCheck:
    """Parse one rule of a file; oslo.policy's own function turns invalid text into "never"."""
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
    # oslo.policy's function for text logs a traceback and returns "never"; this way the operator sees the error.
    tokens = parser._parse_tokenize(text)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for token in tokens:
        state.shift(token)
    try:
        return state.result
    except ValueError as error:
        raise PolicyError(f"{where}: {text!r} is not a valid policy expression") from error


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
