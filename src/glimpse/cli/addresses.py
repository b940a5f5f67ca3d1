"""The addresses that a server is to listen on, tried before anything that takes time."""

from __future__ import annotations

from glimpse.launcher import LaunchError, ServeOptions, require_address, require_server
from glimpse.settings.errors import Faults, SettingsError
from glimpse.settings.model import Settings


def try_listening(options: ServeOptions, settings: Settings) -> None:
    """See that the server library is installed, and that its address and that of metrics can be had.

    Nothing listens meanwhile: clients are refused until the service can answer.

    :raises SettingsError: some of it is not so; all of that is told.
    """
    faults = Faults()
    with faults.collecting():
        try_server(options)
    with faults.collecting():
        try_address(options.host, options.port)
    if settings.metrics.port is not None:
        with faults.collecting():
            try_address(settings.metrics.host, settings.metrics.port)
    faults.raise_any()


def try_server(options: ServeOptions) -> None:
    """:raises SettingsError: the server library is not installed."""
    try:
        require_server(options)
    except LaunchError as error:
        raise SettingsError(str(error)) from error


def try_address(host: str, port: int) -> None:
    """:raises SettingsError: nothing could listen there."""
    try:
        require_address(host.strip("[]"), port)
    except LaunchError as error:
        raise SettingsError(str(error)) from error
