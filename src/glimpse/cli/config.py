"""``glimpse config``: what the configuration comes to, and what in it has no effect."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from glimpse.cli.config_options import config_options, read_settings, settings_or_exit
from glimpse.cli.parts import try_files
from glimpse.settings.errors import SettingsError
from glimpse.settings.show import as_json, as_text
from glimpse.settings.startup import refusals


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
@click.option("--json", "json_form", is_flag=True, help="Print JSON.")
def check(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, json_form: bool) -> None:
    """Say whether the service would start, and which options have no effect.

    Exit code 0 when it would, 1 when it would not.
    """
    remarks: tuple[str, ...] = ()
    try:
        loaded = read_settings(config_files, config_dirs, data_dir)
        if not refusals(loaded.settings):
            try_files(loaded.settings)
    except SettingsError as error:
        errors: tuple[str, ...] = (str(error),)
    else:
        errors, remarks = refusals(loaded.settings), loaded.remarks
    if json_form:
        click.echo(msgspec.json.encode({"usable": not errors, "errors": errors, "remarks": remarks}))
    else:
        for remark in remarks:
            click.echo(remark)
        for error in errors:
            click.echo(f"Error: {error}", err=True)
        if not errors:
            click.echo("The configuration can be used.")
    if errors:
        raise SystemExit(1)
