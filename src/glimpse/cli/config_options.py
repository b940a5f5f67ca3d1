"""The configuration options of all commands, and reading the settings from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from glimpse.settings.errors import SettingsError
from glimpse.settings.inventory import BY_PLACE
from glimpse.settings.load import Loaded, Sources, load
from glimpse.settings.options import Kind, default_of
from glimpse.settings.oslo import Override, environment_name
from glimpse.stores.all import DRIVERS

LOG = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)


#: Placeholder of an option's value in ``--help``.
_METAVARS: dict[Kind, str] = {"integer": "INTEGER", "number": "NUMBER"}


def setting_option(switch: str, section: str, name: str, help_: str, metavar: str | None = None) -> Callable[[F], F]:
    """Create a switch that overrides an option of the files; ``settings/load.py`` reads its value in the same way.

    ``--help`` shows the option, its type and default, and the environment variable that also overrides it.
    """
    option = BY_PLACE[section, name]
    default = default_of(option).replace("`", "")
    variable = environment_name(section, name)
    return click.option(
        switch,
        metavar=metavar or _METAVARS.get(option.kind, "TEXT"),
        help=f"{help_} Overrides [{section}] {name}. [env var: {variable}; default: {default}]",
    )


def config_options(command: F) -> F:
    """Add ``--config-file``, ``--config-dir`` and ``--data-dir`` to a command."""
    for decorate in (
        setting_option("--data-dir", "glimpse", "data_dir", "Directory for the service's own data.", "DIR"),
        click.option(
            "--config-dir", "config_dirs", type=_PATH, multiple=True, metavar="DIR",
            help="Read all *.conf in this directory, after the files. May be repeated.",
        ),
        click.option(
            "--config-file", "config_files", type=_PATH, multiple=True, metavar="FILE",
            help="Read this file, for instance glance-api.conf. May be repeated; later files win.",
        ),
    ):  # fmt: skip
        command = decorate(command)
    return command


def strict_option(command: F) -> F:
    """Add ``--strict`` to a command."""
    return click.option("--strict", is_flag=True, help="Treat warnings, such as unknown options, as errors.")(command)


def require_no_warnings(loaded: Loaded, *, strict: bool) -> None:
    """If ``strict``, refuse a configuration with warnings.

    :raises ClickException: there are warnings.
    """
    if strict and loaded.warnings:
        raise click.ClickException(as_errors(loaded.warnings))


def as_errors(reasons: Sequence[str]) -> str:
    """Format several errors as one ClickException message: one line each, beginning with ``Error:``."""
    return "\nError: ".join(reasons)


def log_remarks(loaded: Loaded) -> None:
    """Log what `glimpse config check` would report."""
    for warning in loaded.warnings:
        LOG.warning("%s", warning)
    for note in loaded.notes:
        LOG.info("%s", note)


def read_settings(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    overrides: Mapping[tuple[str, str, str], str | None] | None = None,
) -> Loaded:
    """Read the settings of a command line. ``overrides`` maps section, option and switch to the switch's value.

    :raises SettingsError: a file or a value is invalid.
    """
    switches = {("glimpse", "data_dir", "--data-dir"): data_dir, **(overrides or {})}
    command_line = {
        (section, name): Override(value, switch)
        for (section, name, switch), value in switches.items()
        if value is not None
    }
    sources = Sources(
        config_files=config_files, config_dirs=config_dirs, environ=os.environ, command_line=command_line
    )  # fmt: skip
    return load(sources, DRIVERS)


def settings_or_exit(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    overrides: Mapping[tuple[str, str, str], str | None] | None = None,
) -> Loaded:
    """Like :func:`read_settings`, but an invalid configuration ends the command with one line per error and exit code
    1.
    """
    try:
        return read_settings(config_files, config_dirs, data_dir, overrides)
    except SettingsError as error:
        raise click.ClickException(as_errors(error.reasons)) from error
