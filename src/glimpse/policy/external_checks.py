"""Policy checks that call out of the process: ``http:``, ``https:`` and oslo.policy plug-ins."""

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
    """Calls such checks like oslo.policy, with an enforcer that is created for the first such check."""

    def __init__(self, checks: Mapping[str, nodes.BaseCheck], default_rule: str, options: Mapping[str, object]) -> None:
        """``checks`` are all rules, for plug-ins; ``options`` are the ``remote_*`` options of ``[oslo_policy]``."""
        self._checks = checks
        self._default_rule = default_rule
        self._options = options
        self._enforcer: Enforcer | None = None

    def decider(self, check: nodes.BaseCheck, rule: str) -> Decide:
        """Compile one such check; ``rule`` is the name that the remote service is told.

        The closure raises ``Unavailable`` if the called service does not answer.
        """
        if self._enforcer is None:
            self._enforcer = self._make_enforcer()
        enforcer = self._enforcer
        # The only entry point that supports the signatures of older plug-ins.
        call = nodes._check  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

        def decide(credentials: Credentials, target: Target) -> bool:
            try:
                verdict = call(check, dict(target), dict(credentials), enforcer, rule)
            except (OSError, RuntimeError) as error:
                raise Unavailable("The external policy service is not responding.") from error
            return bool(verdict)

        return decide

    def _make_enforcer(self) -> Enforcer:
        # Imported late, because most installations have no such check.
        from oslo_policy import policy  # noqa: PLC0415

        enforcer = policy.Enforcer(library_configuration(), use_conf=False, default_rule=self._default_rule)
        for name, value in self._options.items():
            enforcer.conf.set_override(name, value, group="oslo_policy")
        enforcer.rules = policy.Rules(dict(self._checks), self._default_rule)
        return enforcer
