"""The implementation of ``policy.base.Policy`` with the operator's files."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final

from glimpse.context import Context
from glimpse.domain.image import Image
from glimpse.errors import Forbidden, no_such_image
from glimpse.policy.conditions import Condition
from glimpse.policy.external_checks import ExternalChecks
from glimpse.policy.files import Fingerprint, PolicyError, PolicyFiles
from glimpse.policy.rules import ACTIONS, RULES, RuleDefault
from glimpse.policy.ruleset import Ruleset, build_ruleset, checks_of, warn_of_unknown_references
from glimpse.policy.target import ALWAYS_OWNED, Target, credentials_of, image_target, ownership_allows, owns
from glimpse.settings.model import PolicySettings

LOG = logging.getLogger(__name__)

_NO_TARGET: Final[Target] = {}

#: Maximum number of cached decisions. A decision takes a few bytes, its key a few words.
_MOST_VERDICTS: Final = 8192


class OsloPolicy:
    """Evaluates rules in the language of oslo.policy without its engine (images-api 8.1; configuration 8).

    Changed files take effect within ``reload_interval`` seconds. Thread-safe.
    """

    def __init__(
        self,
        settings: PolicySettings,
        *,
        reload_interval: float = 1.0,
        defaults: Sequence[RuleDefault] = RULES,
        remote_options: Mapping[str, object] | None = None,
    ) -> None:
        """Read the policy files; ``remote_options`` are the ``remote_*`` options of ``[oslo_policy]`` by name.

        :raises PolicyError: the files are invalid.
        """
        self._settings = settings
        self._defaults = defaults
        self._remote_options = remote_options or {}
        self._files = PolicyFiles(settings)
        self._reload_interval = reload_interval
        self._reloading = threading.Lock()
        self._complaint = ""
        self._next_look = time.monotonic() + reload_interval
        self._fingerprint = self._files.fingerprint()
        self._rules = self._load(self._fingerprint)

    def recall_admin(self, caller: Context) -> bool | None:
        """Decide the rule ``context_is_admin``; None if this means calling another service."""
        rules = self._ruleset()
        return None if rules.admin.extra is None else _decide_admin(rules, caller)

    def is_admin(self, caller: Context) -> bool:
        """Decide the rule ``context_is_admin``."""
        return _decide_admin(self._ruleset(), caller)

    def allows(self, context: Context, rule: str, target: Mapping[str, object]) -> bool:
        """Tell whether ``rule`` allows the caller, without an image."""
        if not context.project_scoped:
            return False
        if not self._ruleset().find(rule).decide(credentials_of(context), target):
            return False
        return self._settings.enforce_new_defaults or ownership_allows(context, rule, target.get("owner"))

    def require(self, context: Context, rule: str, target: Mapping[str, object]) -> None:
        """:raises Forbidden: ``rule`` refuses the caller, without an image."""
        if not self.allows(context, rule, target):
            raise _refusal(context, rule)

    def allows_image(self, context: Context, rule: str, image: Image) -> bool:
        """Tell whether ``rule`` allows the caller for an image; images-api 8.1 describes the target.

        Rules that read only the ownership and visibility of an image are evaluated once for all images that have these
        in common, until the files change.
        """
        rules = self._ruleset()
        key = (
            rule,
            context.user_id,
            context.project_id,
            context.roles,
            context.service_roles,
            context.is_admin,
            context.domain_id,
            context.system_scope,
            context.read_only,
            image.owner,
            image.visibility,
        )
        verdict = rules.verdicts.get(key)
        if verdict is None:
            condition = rules.find(rule)
            verdict = self._decide(context, rule, condition, image)
            _remember(rules, condition, key, verdict=verdict)
        return verdict

    def _decide(self, context: Context, rule: str, condition: Condition, image: Image) -> bool:
        if not context.project_scoped:
            return False
        if not condition.decide(credentials_of(context), image_target(context, image, condition.extra)):
            return False
        if rule in ALWAYS_OWNED and not owns(context, image.owner):
            return False
        return self._settings.enforce_new_defaults or ownership_allows(context, rule, image.owner)

    def require_image(self, context: Context, rule: str, image: Image) -> None:
        """Require ``rule`` for an image; the error reveals only what the caller may know.

        :raises NotFound: ``rule`` fails and ``get_image`` too.
        :raises Forbidden: ``rule`` fails and the caller may see the image.
        """
        if self.allows_image(context, rule, image):
            return
        if rule != "get_image" and self.allows_image(context, "get_image", image):
            if rule in ALWAYS_OWNED and not owns(context, image.owner):
                action = ACTIONS.get(rule, "do this")
                raise Forbidden(f"Only the project that owns this image or an administrator may {action}.")
            raise _refusal(context, rule)
        raise no_such_image(image.id)

    @property
    def hides_visible_images(self) -> bool:
        """Tell whether the files override the rule ``get_image``."""
        return "get_image" in self._ruleset().overridden

    def visible(self, context: Context, images: Iterable[Image]) -> list[Image]:
        """Return the images that ``get_image`` allows; the rule is evaluated once for images that it cannot tell
        apart.
        """
        if not context.project_scoped:
            return []
        rules = self._ruleset()
        condition = rules.find("get_image")
        credentials = credentials_of(context)
        decide, extra = condition.decide, condition.extra
        if extra is None:
            return [image for image in images if decide(credentials, image_target(context, image, None))]
        if condition.monotone and decide(credentials, _NO_TARGET):
            return list(images)
        verdicts: dict[Hashable, bool] = {}
        allowed: list[Image] = []
        for image in images:
            look = rules.likeness(image)
            verdict = verdicts.get(look)
            if verdict is None:
                verdict = verdicts[look] = decide(credentials, image_target(context, image, extra))
            if verdict:
                allowed.append(image)
        return allowed

    def _ruleset(self) -> Ruleset:
        if time.monotonic() >= self._next_look and self._reloading.acquire(blocking=False):
            try:
                self._next_look = time.monotonic() + self._reload_interval
                self._reload()
            finally:
                self._reloading.release()
        return self._rules

    def _reload(self) -> None:
        try:
            fingerprint = self._files.fingerprint()
            if fingerprint == self._fingerprint:
                return
            # Stored before it is known to be valid, so that an invalid file is reported only once.
            self._fingerprint = fingerprint
            self._rules = self._load(fingerprint)
        except PolicyError as error:
            if str(error) != self._complaint:
                LOG.error("The policy files are invalid, so the old rules stay in force: %s", error)  # noqa: TRY400 - one line says all
            self._complaint = str(error)
        else:
            self._complaint = ""
            LOG.info("The policy files have changed; the new rules are in force.")

    def _load(self, fingerprint: Fingerprint) -> Ruleset:
        overrides = self._files.read(fingerprint)
        checks = checks_of(self._defaults, overrides, new_defaults=self._settings.enforce_new_defaults)
        default_rule = self._settings.policy_default_rule
        foreign = ExternalChecks(checks, default_rule, self._remote_options).decider
        rules = build_ruleset(checks, default_rule, foreign, overridden=overrides.keys())
        warn_of_unknown_references(checks, default_rule)
        return rules


def _decide_admin(rules: Ruleset, caller: Context) -> bool:
    key = (
        caller.user_id,
        caller.project_id,
        caller.roles,
        caller.service_roles,
        caller.domain_id,
        caller.system_scope,
        caller.read_only,
    )
    verdict = rules.verdicts.get(key)
    if verdict is None:
        verdict = rules.admin.decide(credentials_of(caller), _NO_TARGET)
        _remember(rules, rules.admin, key, verdict=verdict)
    return verdict


def _remember(rules: Ruleset, condition: Condition, key: Hashable, *, verdict: bool) -> None:
    """Cache the decision of a condition that depends only on the key.

    It is stored with the rules that decided it, so it cannot outlive them if the files change meanwhile.
    """
    if condition.extra is None or condition.extra:
        return
    if len(rules.verdicts) >= _MOST_VERDICTS:
        rules.verdicts.clear()
    rules.verdicts[key] = verdict


def _refusal(context: Context, rule: str) -> Forbidden:
    if not context.project_scoped:
        return Forbidden("Images belong to projects, but this identity is scoped to the system or to a domain.")
    action = ACTIONS.get(rule, "do this")
    return Forbidden(f"You are not allowed to {action} (policy rule {rule}).")
