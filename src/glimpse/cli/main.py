"""The command ``glimpse``. Subcommands are imported on demand."""

from __future__ import annotations

import importlib
import logging

import click

from glimpse import __version__

#: Name and module of each subcommand.
COMMANDS = {
    "config": "glimpse.cli.config:config",
    "db": "glimpse.cli.db:db",
    "policy": "glimpse.cli.policy:policy",
    "htpasswd": "glimpse.cli.htpasswd:htpasswd",
    "metadefs": "glimpse.cli.metadefs:metadefs",
    "openapi": "glimpse.cli.openapi:openapi",
    "jobs": "glimpse.cli.jobs:jobs",
    "registry": "glimpse.cli.registry:registry",
    "serve": "glimpse.cli.serve:serve",
    "version": "glimpse.cli.version:version",
    "worker": "glimpse.cli.worker:worker",
}


class LazyGroup(click.Group):
    """A group whose commands are imported separately, so that ``glimpse --version`` reads no settings."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        return getattr(importlib.import_module(module), attribute)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="glimpse", message="%(prog)s %(version)s")
def main() -> None:
    """Glimpse, an image service for clouds."""
    # commands that set up no logging report errors themselves
    logging.getLogger("glimpse").addHandler(logging.NullHandler())
