"""Checks that are not of the policy language itself: ``http:``, ``https:`` and plug-ins of oslo.policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from oslo_policy import _checks as nodes

from glimpse.errors import Unavailable
from glimpse.policy.conditions import Decide
from glimpse.policy.target import Credentials, Target
from glimpse.settings.oslo import library_configuration

if TYPE_CHECKING:
    from oslo_policy.policy import Enforcer


class ExternalChecks:
    """Calls such checks the way oslo.policy would, with an enforcer that is made once there is such a check."""

    def __init__(self, checks: Mapping[str, nodes.BaseCheck], default_rule: str, options: Mapping[str, object]) -> None:
        """``checks`` are all rules, for plug-ins to see; ``options`` are the ``remote_*`` ones of ``[oslo_policy]``."""
        self._checks = checks
        self._default_rule = default_rule
        self._options = options
        self._enforcer: Enforcer | None = None

    def decider(self, check: nodes.BaseCheck, rule: str) -> Decide:
        """The closure of one such check; ``rule`` is the name that a remote service is told.

        The closure raises ``Unavailable`` when what the check asks does not answer.
        """
        if self._enforcer is None:
            self._enforcer = self._make_enforcer()
        enforcer = self._enforcer
        # The only way in that knows the signatures of older plug-ins.
        call = nodes._check  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

        def decide(credentials: Credentials, target: Target) -> bool:
            try:
                verdict = call(check, dict(target), dict(credentials), enforcer, rule)
            except (OSError, RuntimeError) as error:
                raise Unavailable("The service that decides about this operation does not answer.") from error
            return bool(verdict)

        return decide

    def _make_enforcer(self) -> Enforcer:
        # Most installations have no such check, and need not wait for this to be imported.
        from oslo_policy import policy  # noqa: PLC0415

        enforcer = policy.Enforcer(library_configuration(), use_conf=False, default_rule=self._default_rule)
        for name, value in self._options.items():
            enforcer.conf.set_override(name, value, group="oslo_policy")
        enforcer.rules = policy.Rules(dict(self._checks), self._default_rule)
        return enforcer
