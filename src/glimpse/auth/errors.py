"""Errors in the settings of an authenticator at start."""

from __future__ import annotations

from glimpse.settings.errors import SettingsError


class AuthSettingsError(SettingsError):
    """The settings or files of an authenticator are invalid; ``str(error)`` is one line for the operator."""


class AuthUnavailable(AuthSettingsError):
    """This authentication method is not available in this installation."""
