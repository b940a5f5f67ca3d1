"""Limits that are registered in Keystone, enforced by oslo.limit (images-api 6.3; configuration 5.7)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from glimpse.errors import GlimpseError, LimitExceeded, Unavailable
from glimpse.extras import needs
from glimpse.quota.base import RESOURCES, Limited, UsageOf
from glimpse.settings.errors import SettingsError
from glimpse.settings.library_sections import LIMIT, give_credentials
from glimpse.settings.model import Sections
from glimpse.settings.oslo import give, library_configuration

LOG = logging.getLogger(__name__)

T = TypeVar("T")

#: Default timeout in seconds for an answer of Keystone; the library's own default is to wait forever.
TIMEOUT = "30"


class LimitsUnusable(GlimpseError):
    """Keystone's limits cannot be read with the configured settings (HTTP 500)."""


class KeystoneLimits:
    """Reads the limits from Keystone at each call, so that changes take effect at once. Thread-safe.

    oslo.limit keeps its options and its connection for the whole process, so a process has only one object of this
    class.
    """

    def __init__(self, sections: Sections, usage_of: UsageOf) -> None:
        """``sections`` are ``[oslo_limit]`` and others as strings. Keystone is not contacted yet.

        :raises SettingsError: oslo.limit is not installed, or an option is invalid.
        """
        _configure(sections)
        # installed, because its options were validated
        from keystoneauth1 import exceptions as keystoneauth_errors  # noqa: PLC0415
        from openstack import exceptions as sdk_errors  # noqa: PLC0415
        from oslo_limit import exception as limit_errors  # noqa: PLC0415

        self._over_limit = limit_errors.ProjectOverLimit
        self._failures = (
            keystoneauth_errors.ClientException,
            sdk_errors.SDKException,
            limit_errors.SessionInitError,
            NotImplementedError,  # Keystone uses an enforcement model that oslo.limit does not support
        )
        self._away = (keystoneauth_errors.ConnectionError, keystoneauth_errors.DiscoveryFailure)
        self._usage_of = usage_of
        self._enforcer: Any = None
        self._making = threading.Lock()

    def enforce(self, project_id: str | None, deltas: Mapping[str, int]) -> None:
        """Check an operation that needs ``deltas`` more of each resource, in its unit.

        :raises LimitExceeded: usage and delta are more than the limit; a resource without a limit has the limit 0.
        :raises Unavailable: Keystone does not answer.
        :raises LimitsUnusable: Keystone refuses access to the limits, or does not know this service.
        """
        self._ask(lambda enforcer: enforcer.enforce(project_id, dict(deltas)))

    def usage(self, project_id: str | None) -> Mapping[str, Limited]:
        """Return usage and limit of the four resources by name.

        :raises Unavailable: Keystone does not answer.
        :raises LimitsUnusable: Keystone refuses access to the limits, or does not know this service.
        """
        limits = self._ask(lambda enforcer: _limits(enforcer, project_id))
        used = self._usage_of(project_id).by_resource()
        return {name: Limited(usage=used[name], limit=limits.get(name, 0)) for name in RESOURCES}

    def _ask(self, question: Callable[[Any], T]) -> T:
        try:
            return question(self._made())
        except self._over_limit as error:
            raise LimitExceeded(str(error)) from error
        except self._failures as error:
            self._enforcer = None  # what it cached from Keystone may be outdated
            raise self._failure(error) from error

    def _made(self) -> Any:
        from oslo_limit import limit  # noqa: PLC0415 - an extra

        with self._making:
            if self._enforcer is None:
                try:
                    self._enforcer = limit.Enforcer(self._figures, cache=False)
                except ValueError as error:
                    # Keystone does not have the configured endpoint
                    raise _unusable(error) from error
            return self._enforcer

    def _figures(self, project_id: str | None, _names: Collection[str]) -> dict[str, int]:
        return self._usage_of(project_id).by_resource()

    def _failure(self, error: BaseException) -> GlimpseError:
        # oslo.limit passes on only the text of the cause
        cause = error.__context__ if type(error).__name__ == "SessionInitError" and error.__context__ else error
        status: int = getattr(cause, "http_status", None) or getattr(cause, "status_code", None) or 0
        if isinstance(cause, self._away) or status >= 500:
            LOG.error("The limits cannot be read: Keystone does not answer: %s", cause)
            return Unavailable("The limits cannot be read from the identity service at the moment.")
        return _unusable(cause)


def _limits(enforcer: Any, project_id: str | None) -> dict[str, int]:
    # None means all resources, with one request to Keystone each; with names there would be one request per name
    found = dict(enforcer.get_registered_limits(None))
    return found if project_id is None else {**found, **dict(enforcer.get_project_limits(project_id, None))}


def _unusable(cause: BaseException) -> LimitsUnusable:
    LOG.error(
        "The limits cannot be read from Keystone: %s: %s. Check [oslo_limit]: it needs the endpoint of the image "
        "service, and credentials that may read all limits (role reader, system_scope = all).",
        type(cause).__name__,
        cause,
    )
    return LimitsUnusable("The project limits are misconfigured; the log of the service has the reason.")


def _configure(sections: Sections) -> None:
    """Set oslo.limit's options in the global configuration, where it reads them."""
    try:
        from keystoneauth1 import loading  # noqa: PLC0415 - an extra
        from oslo_limit import opts  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError.of_option("DEFAULT", "use_keystone_limits", needs(error, "limits")) from error
    own = [option for _, options in opts.list_opts() for option in options if option.dest.startswith("endpoint_")]
    conf = library_configuration(process_wide=True)
    texts: dict[str, str] = {"timeout": TIMEOUT, **sections.get(LIMIT, {})}
    give(conf, LIMIT, loading.get_session_conf_options(), texts)
    give(conf, LIMIT, loading.get_adapter_conf_options(include_deprecated=False), texts)
    give(conf, LIMIT, own, texts)
    give_credentials(conf, LIMIT, sections)
    if not (texts.get("endpoint_id") or texts.get("endpoint_service_type") or texts.get("endpoint_service_name")):
        raise SettingsError.of_option(LIMIT, "endpoint_id", "must be set, or endpoint_service_type")
