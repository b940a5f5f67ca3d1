"""The options that every command has, and the settings that they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from glimpse.settings.errors import SettingsError
from glimpse.settings.load import Loaded, Sources, load
from glimpse.settings.oslo import Given
from glimpse.stores.all import DRIVERS

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)


def config_options(command: F) -> F:
    """Give a command ``--config-file``, ``--config-dir`` and ``--data-dir``."""
    for decorate in (
        click.option("--data-dir", metavar="DIR", help="Where the service keeps its own data."),
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
    """As :func:`read_settings`; a wrong configuration ends the command with one line and exit code 1."""
    try:
        return read_settings(config_files, config_dirs, data_dir, overrides)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
