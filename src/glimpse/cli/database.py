"""Access to the configured database for commands. SQL modules are imported only for an SQL database."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glimpse.cli.config_options import settings_or_exit
from glimpse.database_factory import open_database, open_registry
from glimpse.db.base import Database
from glimpse.errors import GlimpseError
from glimpse.settings.database_url import is_registry, masked_url
from glimpse.settings.errors import SettingsError
from glimpse.settings.files import embedded_database
from glimpse.settings.model import Settings

if TYPE_CHECKING:
    from glimpse.db.schema import SchemaState

# -------------------------------------------------------------------- Messages while a start waits for another server

LOG = logging.getLogger(__name__)


def tell_waiting(settings: Settings, line: str) -> None:
    """Log ``line``, and print it on standard error too if the log goes to a file."""
    LOG.warning("%s", line)
    if settings.logging.file is not None:
        click.echo(line, err=True)


def sql_settings_or_exit(
    config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None
) -> Settings:
    """Return the settings of a command that works on tables.

    :raises ClickException: they are invalid, or the tables are behind a registry.
    """
    settings = settings_or_exit(config_files, config_dirs, data_dir).settings
    if is_registry(settings.database.connection):
        raise click.ClickException(
            "This node uses the database through a registry. Run the command on the registry's host."
        )
    return settings


@contextmanager
def failing_in_one_line(settings: Settings) -> Generator[None]:
    """Turn database errors into one line that names the database, and exit code 1."""
    try:
        yield
    except GlimpseError as error:
        told = f"{error} (database {masked_url(settings.database.connection)}{_cause(error)})"
        raise click.ClickException(told) from error
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def _cause(error: GlimpseError) -> str:
    """Return the driver's error message, for the operator."""
    driver_error = getattr(error.__cause__, "orig", None)
    return "" if driver_error is None else f": {' '.join(str(driver_error).split())}"


def require_database(settings: Settings) -> None:
    """Check that the service can use the database; see :func:`glimpse.cli.schema_setup.require_tables`.

    The tables behind a registry are not checked: the registry does that.

    :raises ClickException: the database is not up to date.
    :raises GlimpseError: it cannot be reached.
    :raises SettingsError: a certificate or key for the registry cannot be used.
    """
    if is_registry(settings.database.connection):
        _require_registry(settings, max_retries=settings.database.max_retries)
        return
    from glimpse.cli.schema_setup import require_tables

    require_tables(settings)


@contextmanager
def opened_database(settings: Settings) -> Generator[Database]:
    """Open the database without creating it; database errors end the command with one line.

    :raises ClickException: it is not up to date.
    """
    with failing_in_one_line(settings):
        _require_current(settings)
        database = open_database(settings)
        try:
            yield database
        finally:
            database.close()


def _require_current(settings: Settings) -> None:
    if is_registry(settings.database.connection):
        _require_registry(settings, max_retries=0)
        return
    from glimpse.cli.schema_setup import schema_state
    from glimpse.db.schema import SchemaState

    state = schema_state(settings)
    if state is not SchemaState.CURRENT:
        raise click.ClickException(state.value)


def database_state(settings: Settings) -> SchemaState | None:
    """Return the state of the database, asked once and without waiting; None if a registry is ready to serve it.

    :raises ClickException: it cannot be reached, or the registry cannot use it.
    """
    with failing_in_one_line(settings):
        if is_registry(settings.database.connection):
            _require_registry(settings, max_retries=0)
            return None
        from glimpse.cli.schema_setup import schema_state

        return schema_state(settings)


def _require_registry(settings: Settings, *, max_retries: int) -> None:
    """Check that the registry is ready.

    :raises ClickException: its database is not up to date.
    :raises DatabaseUnavailable: the registry does not answer, or refuses this node.
    """
    from glimpse.registry.client import wait_for_registry

    registry = open_registry(settings)
    try:
        info = wait_for_registry(
            registry,
            max_retries=max_retries,
            interval=settings.database.retry_interval,
            tell=partial(tell_waiting, settings),
        )
    finally:
        registry.close()
    if not info.ready:
        raise click.ClickException(f"The registry's database cannot be used: {info.state}")


# ---------------------------------------------------------------------------------- Preparation of the data directory


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
