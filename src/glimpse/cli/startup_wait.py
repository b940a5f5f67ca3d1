"""Messages while a start waits for another server."""

from __future__ import annotations

import logging

import click

from glimpse.settings.model import Settings

LOG = logging.getLogger(__name__)


def tell_waiting(settings: Settings, line: str) -> None:
    """Log ``line``, and print it on standard error too if the log goes to a file."""
    LOG.warning("%s", line)
    if settings.logging.file is not None:
        click.echo(line, err=True)
