"""``glimpse version``."""

from __future__ import annotations

import click

from glimpse import __version__


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"glimpse {__version__}")
