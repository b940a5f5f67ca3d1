"""The rules in force and where each comes from, for operators (configuration 8)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from oslo_policy import _checks as nodes

from glimpse.policy.external_checks import ExternalChecks
from glimpse.policy.files import FileRule, PolicyFiles
from glimpse.policy.rules import RULES, RuleDefault
from glimpse.policy.ruleset import build_ruleset, checks_of
from glimpse.settings.model import PolicySettings


class EffectiveRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: ``check`` is in force, ``origin`` says where it is from, ``action`` what it protects, ``default`` its
    default.

    ``action`` and ``default`` are None for a rule that exists only in files.
    """

    name: str
    check: str
    origin: str
    action: str | None = None
    default: str | None = None
    deprecated: str | None = None


class RulesInForce:
    """All rules as the service would read them now; ``checks`` has their trees by name."""

    def __init__(self, settings: PolicySettings, *, defaults: Sequence[RuleDefault] = RULES) -> None:
        """Read the policy files.

        :raises PolicyError: they are invalid.
        """
        files = PolicyFiles(settings)
        self.settings = settings
        self._defaults = {rule.name: rule for rule in defaults}
        self._overrides: Mapping[str, FileRule] = files.read(files.fingerprint())
        self.checks = checks_of(defaults, self._overrides, new_defaults=settings.enforce_new_defaults)
        self.foreign = ExternalChecks(self.checks, settings.policy_default_rule, {}).decider
        build_ruleset(self.checks, settings.policy_default_rule, self.foreign)

    def rules(self) -> list[EffectiveRule]:
        """Return all rules: first those with a default, in the reference's order, then those that exist only in
        files.
        """
        names = (*self._defaults, *sorted(self._overrides.keys() - self._defaults.keys()))
        return [self.rule(name) for name in names]

    def rule(self, name: str) -> EffectiveRule:
        """Return one rule; ``name`` must be one of :meth:`rules`."""
        default = self._defaults.get(name)
        check, origin = self._check_and_origin(name)
        before = default.deprecated if default is not None else None
        return EffectiveRule(
            name=name,
            check=check,
            origin=origin,
            action=default.action if default is not None else None,
            default=default.check if default is not None else None,
            deprecated=f"{before.name or name}: {_shown(before.check)} (until {before.since})" if before else None,
        )

    def known(self, name: str) -> bool:
        """Tell whether the rule exists; any other name means the default rule."""
        return name in self.checks

    def similar(self, name: str) -> list[str]:
        """Suggest names of similar rules."""
        return difflib.get_close_matches(name, self.checks, n=3)

    def without_effect(self) -> list[tuple[str, str]]:
        """Return rules of the files that protect nothing and that no other rule refers to, with their file."""
        known = {*self._defaults, *(rule.deprecated.name for rule in self._defaults.values() if rule.deprecated)}
        named = {name for check in self.checks.values() for name in references(check)}
        return [
            (name, str(given.path))
            for name, given in self._overrides.items()
            if name not in known | named | {self.settings.policy_default_rule}
        ]

    def guarding(self, name: str) -> str | None:
        """Return the rule with a default whose name is most similar to ``name``, or None."""
        return next(iter(difflib.get_close_matches(name, self._defaults, n=1, cutoff=0.7)), None)

    def node(self, name: str) -> nodes.BaseCheck | None:
        """Return the tree of a rule; for an unknown name that of the default rule, or None."""
        return self.checks.get(name) or self.checks.get(self.settings.policy_default_rule)

    def _check_and_origin(self, name: str) -> tuple[str, str]:
        given = self._overrides.get(name)
        if given is not None:
            return given.text if isinstance(given.text, str) else str(self.checks[name]), str(given.path)
        default = self._defaults[name]
        before = default.deprecated
        if before is not None and before.name and self.checks[name] is self.checks.get(before.name):
            old = self._overrides[before.name]
            return str(self.checks[name]), f"{old.path}, under the deprecated name {before.name}"
        if before is not None and not self.settings.enforce_new_defaults and before.check != default.check:
            return f"({_shown(default.check)}) or {_shown(before.check)}", "default or deprecated"
        return default.check, "default"


def references(check: nodes.BaseCheck) -> Iterator[str]:
    """Return the names of rules that a check refers to."""
    match check:
        case nodes.RuleCheck():
            yield str(check.match)
        case nodes.AndCheck() | nodes.OrCheck():
            for part in check.rules:
                yield from references(part)
        case nodes.NotCheck():
            yield from references(check.rule)
        case _:
            return


def _shown(check: str) -> str:
    """Format a check for use within another one; an empty check allows."""
    return check or "@"
