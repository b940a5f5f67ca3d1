"""The options that every command has, and the settings that they lead to."""

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
from glimpse.settings.oslo import Given, environment_name
from glimpse.stores.all import DRIVERS

LOG = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)


#: How ``--help`` names what an option takes.
_METAVARS: dict[Kind, str] = {"integer": "INTEGER", "number": "NUMBER"}


def setting_option(switch: str, section: str, name: str, help_: str, metavar: str | None = None) -> Callable[[F], F]:
    """A switch that overrides an option of the files. Its value is read as those are, by ``settings/load.py``.

    ``--help`` shows the option, its type and default, and the environment variable that overrides it too.
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
    """Give a command ``--config-file``, ``--config-dir`` and ``--data-dir``."""
    for decorate in (
        setting_option("--data-dir", "glimpse", "data_dir", "Where the service keeps its own data.", "DIR"),
        click.option(
            "--config-dir", "config_dirs", type=_PATH, multiple=True, metavar="DIR",
            help="Read all *.conf of this directory, after the files. May be repeated.",
        ),
        click.option(
            "--config-file", "config_files", type=_PATH, multiple=True, metavar="FILE",
            help="Read this file, for instance glance-api.conf. May be repeated; later files win.",
        ),
    ):  # fmt: skip
        command = decorate(command)
    return command


def strict_option(command: F) -> F:
    """Give a command ``--strict``."""
    return click.option(
        "--strict", is_flag=True, help="Do not start with warnings, for instance of options that are not known."
    )(command)


def require_no_warnings(loaded: Loaded, *, strict: bool) -> None:
    """Where ``strict``, let nothing start on a configuration with warnings.

    :raises ClickException: it has some.
    """
    if strict and loaded.warnings:
        raise click.ClickException(as_errors(loaded.warnings))


def as_errors(reasons: Sequence[str]) -> str:
    """The message of a ClickException about several things: each in a line that begins with ``Error:``."""
    return "\nError: ".join(reasons)


def log_remarks(loaded: Loaded) -> None:
    """Tell the log what `glimpse config check` would."""
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
    """The settings of one command line. ``overrides``: section, option and switch, with what the switch says.

    :raises SettingsError: a file or a value is wrong.
    """
    switches = {("glimpse", "data_dir", "--data-dir"): data_dir, **(overrides or {})}
    command_line = {
        (section, name): Given(value, switch)
        for (section, name, switch), value in switches.items()
        if value is not None
    }
    sources = Sources(
        config_files=config_files, config_dirs=config_dirs, environ=os.environ, command_line=command_line
    )  # fmt: skip
    return load(sources, {kind: driver.options for kind, driver in DRIVERS.items()})


def settings_or_exit(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    overrides: Mapping[tuple[str, str, str], str | None] | None = None,
) -> Loaded:
    """As :func:`read_settings`; a wrong configuration ends the command with a line for each error and exit code 1."""
    try:
        return read_settings(config_files, config_dirs, data_dir, overrides)
    except SettingsError as error:
        raise click.ClickException(as_errors(error.reasons)) from error
