"""What can be wrong with the settings of an authenticator at start."""

from __future__ import annotations

from glimpse.settings.errors import SettingsError


class AuthSettingsError(SettingsError):
    """The settings or files of an authenticator cannot be used; ``str(error)`` is one line for the operator."""


class AuthUnavailable(AuthSettingsError):
    """This installation has no such kind of authentication."""
