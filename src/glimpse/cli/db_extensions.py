"""``glimpse db drop-extensions``: prepares the database for a return to Glance."""

from __future__ import annotations

from pathlib import Path

import click

from glimpse.cli.config_options import config_options
from glimpse.cli.data_directory import not_made_yet
from glimpse.cli.database import failing_in_one_line, sql_settings_or_exit
from glimpse.db.extensions import Extensions, drop_extensions, extensions
from glimpse.db.schema import SchemaState
from glimpse.db.sql.engine import connect
from glimpse.settings.model import Settings


@click.command("drop-extensions")
@config_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Even if uploads, deletions or jobs are unfinished; these are lost.")
def drop(
    config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, yes: bool, force: bool
) -> None:
    """Drop Glimpse's additions to the database: its tables, and its indexes on Glance's tables.

    Stop all Glimpse processes first. A plain Glance database remains, with everything that Glimpse wrote into Glance's
    tables. `glimpse db sync` creates the additions again.
    """
    settings = sql_settings_or_exit(config_files, config_dirs, data_dir)
    if not_made_yet(settings):
        raise click.ClickException(SchemaState.MISSING.value)
    with failing_in_one_line(settings):
        _drop(settings, ask=not yes, force=force)


def _drop(settings: Settings, *, ask: bool, force: bool) -> None:
    engine = connect(settings.database)
    try:
        found = extensions(engine)
        if not found:
            click.echo("The database has no tables or indexes of Glimpse.")
            return
        _tell(found)
        if found.unfinished and not force:
            raise click.ClickException(
                "There is unfinished work. Let Glimpse run until it is done, or use --force to abandon it: images "
                "keep their current status, and data of unfinished uploads stay in the stores."
            )
        if ask:
            click.confirm("Drop these tables and indexes? All Glimpse processes must be stopped.", abort=True)
        drop_extensions(engine, force=force)
    finally:
        engine.dispose()
    click.echo("The database is a plain Glance database now.")


def _tell(found: Extensions) -> None:
    click.echo(f"Tables: {', '.join(found.tables) or 'none'}")
    click.echo(f"Indexes: {', '.join(name for name, _ in found.indexes) or 'none'}")
    for sentence in (*found.unfinished, *found.records):
        click.echo(f"To be lost: {sentence}")
