"""Checks the addresses that a server will listen on, before anything that takes time."""

from __future__ import annotations

from glimpse.launcher import LaunchError, ServeOptions, require_address, require_server
from glimpse.settings.errors import Problems, SettingsError
from glimpse.settings.model import Settings


def try_listening(options: ServeOptions, settings: Settings) -> None:
    """Check that the server library is installed, and that the service's and the metrics address can be bound.

    Nothing listens meanwhile, so clients are refused until the service can answer.

    :raises SettingsError: a check fails; the error lists all failures.
    """
    problems = Problems()
    with problems.collecting():
        try_server(options)
    with problems.collecting():
        try_address(options.host, options.port)
    if settings.metrics.port is not None:
        with problems.collecting():
            try_address(settings.metrics.host, settings.metrics.port)
    problems.raise_any()


def try_server(options: ServeOptions) -> None:
    """:raises SettingsError: the server library is not installed."""
    try:
        require_server(options)
    except LaunchError as error:
        raise SettingsError(str(error)) from error


def try_address(host: str, port: int) -> None:
    """:raises SettingsError: the address cannot be bound."""
    try:
        require_address(host.strip("[]"), port)
    except LaunchError as error:
        raise SettingsError(str(error)) from error
