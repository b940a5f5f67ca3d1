"""The list of authentication methods (ARCHITECTURE.md, Identity)."""

from __future__ import annotations

from glimpse.auth.base import Authenticator, AuthSettingsError
from glimpse.auth.basic import BasicAuth
from glimpse.auth.headers import HeaderAuth
from glimpse.auth.keystone import KeystoneAuth
from glimpse.auth.none import NoAuth, OrAnonymous
from glimpse.settings.model import Auth


def build(settings: Auth) -> Authenticator:
    """Build the configured authenticator.

    :raises AuthSettingsError: the settings or their files are invalid.
    :raises AuthUnavailable: a required package is not installed.
    """
    authenticator = _of_kind(settings)
    return OrAnonymous(authenticator) if settings.allow_anonymous_access else authenticator


def _of_kind(settings: Auth) -> Authenticator:
    match settings.kind:
        case "none":
            return NoAuth()
        case "basic":
            if settings.htpasswd_file is None:
                raise AuthSettingsError("auth basic needs [glimpse] htpasswd_file")
            return BasicAuth(
                settings.htpasswd_file,
                settings.users_file,
                failures_per_address=settings.failures_per_address,
            )
        case "headers":
            return HeaderAuth(settings.trusted_proxies)
        case "keystone":
            return KeystoneAuth(settings.keystone, settings.token_cache_time)
        case _:
            raise AuthSettingsError(f"auth {settings.kind} is unknown; use none, basic, headers or keystone")
