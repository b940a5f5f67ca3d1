"""``glimpse config``: shows and checks the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from glimpse.cli.config_check import examine
from glimpse.cli.config_options import config_options, read_settings, settings_or_exit, strict_option
from glimpse.settings.errors import SettingsError
from glimpse.settings.inventory import Findings
from glimpse.settings.show import as_json, as_text


@click.group()
def config() -> None:
    """Show or check the configuration."""


@config.command()
@config_options
@click.option("--json", "json_form", is_flag=True, help="Print JSON.")
def show(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, json_form: bool) -> None:
    """Print the settings in effect, without secrets."""
    settings = settings_or_exit(config_files, config_dirs, data_dir).settings
    click.echo(as_json(settings) if json_form else as_text(settings))


@config.command()
@config_options
@strict_option
@click.option("--json", "json_form", is_flag=True, help="Print JSON.")
def check(
    config_files: tuple[Path, ...],
    config_dirs: tuple[Path, ...],
    data_dir: str | None,
    strict: bool,
    json_form: bool,
) -> None:
    """Check whether the service would start, and report doubtful or ineffective settings.

    Errors come first, then warnings, then notes. The command tries the database, the stores, the addresses, and the
    policy, user and other files; it changes nothing.

    The exit code is 0 if the service would start, else 1. With --strict it is also 1 if there are warnings.
    """
    remarks = Findings()
    try:
        loaded = read_settings(config_files, config_dirs, data_dir)
    except SettingsError as error:
        errors = error.reasons
    else:
        errors, found = examine(loaded.settings)
        remarks = Findings(loaded.warnings, loaded.notes) + found
    usable = not errors and not (strict and remarks.warnings)
    if json_form:
        click.echo(msgspec.json.encode({"usable": usable, "errors": errors, **msgspec.to_builtins(remarks)}))
    else:
        _print(errors, remarks, usable=usable)
    if not usable:
        raise SystemExit(1)


def _print(errors: Sequence[str], remarks: Findings, *, usable: bool) -> None:
    for error in errors:
        click.echo(f"Error: {error}", err=True)
    for weight, lines in (("Warning", remarks.warnings), ("Note", remarks.notes)):
        for line in lines:
            click.echo(f"{weight}: {line}")
    if usable:
        click.echo("The configuration is valid.")
    elif not errors:
        click.echo("Error: with --strict, warnings are errors.", err=True)
