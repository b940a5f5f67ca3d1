"""Preparation of the data directory."""

from __future__ import annotations

import os
from pathlib import Path

import click

from glimpse.settings.files import embedded_database
from glimpse.settings.model import Settings


def embedded_file(settings: Settings) -> Path | None:
    """Return the file of the embedded database; None if another database is configured."""
    if settings.database.connection != embedded_database(settings.data_dir):
        return None
    return settings.data_dir / "glimpse.sqlite"


def make_data_directory(settings: Settings) -> None:
    """Create the data directory if it is needed, and check that it is writable.

    :raises ClickException: it cannot be created or written.
    """
    if embedded_file(settings) is None and settings.metrics.port is None:
        return
    directory = settings.data_dir
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise click.ClickException(f"The data directory {directory} cannot be created: {error.strerror}.") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise click.ClickException(f"The data directory {directory} cannot be written.")


def not_made_yet(settings: Settings) -> bool:
    """Tell whether the database is an embedded one whose file does not exist."""
    file = embedded_file(settings)
    return file is not None and not file.exists()
