"""The data directory, made ready before the service needs it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from glimpse.settings.files import embedded_database
from glimpse.settings.model import Settings


def embedded_file(settings: Settings) -> Path | None:
    """The file of the embedded database, None when the operator's own is used."""
    if settings.database.connection != embedded_database(settings.data_dir):
        return None
    return settings.data_dir / "glimpse.sqlite"


def make_data_directory(settings: Settings) -> None:
    """Make the data directory, where something is kept in it, and see that it can be written.

    :raises ClickException: it cannot be made or written.
    """
    if embedded_file(settings) is None and settings.metrics.port is None:
        return
    directory = settings.data_dir
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise click.ClickException(f"The data directory {directory} cannot be made: {error.strerror}.") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise click.ClickException(f"The data directory {directory} cannot be written.")


def not_made_yet(settings: Settings) -> bool:
    """Whether the database is an embedded one whose file is not there."""
    file = embedded_file(settings)
    return file is not None and not file.exists()
