"""What a start that waits for another server says."""

from __future__ import annotations

import logging

import click

from glimpse.settings.model import Settings

LOG = logging.getLogger(__name__)


def tell_waiting(settings: Settings, line: str) -> None:
    """Log ``line``, and say it on standard error too where the log goes to a file."""
    LOG.warning("%s", line)
    if settings.logging.file is not None:
        click.echo(line, err=True)
