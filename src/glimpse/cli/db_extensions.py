"""``glimpse db drop-extensions``: going back to Glance."""

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
@click.option("--force", is_flag=True, help="Also when uploads, deletions or jobs are unfinished; they are lost.")
def drop(
    config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None, yes: bool, force: bool
) -> None:
    """Drop what Glimpse added to the database: its tables, and its indexes on tables of Glance.

    Stop every process of Glimpse first. What stays is a plain Glance database with everything that Glimpse wrote into
    Glance's tables; `glimpse db sync` makes the rest again.
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
            click.echo("The database has nothing of Glimpse.")
            return
        _tell(found)
        if found.unfinished and not force:
            raise click.ClickException(
                "Work is unfinished. Let Glimpse run until it is done, or give --force to lose it: images stay in the "
                "status they are in, and data of unfinished uploads stay in the stores."
            )
        if ask:
            click.confirm("Is every process of Glimpse stopped, and may this be dropped?", abort=True)
        drop_extensions(engine, force=force)
    finally:
        engine.dispose()
    click.echo("The database is a plain Glance database.")


def _tell(found: Extensions) -> None:
    click.echo(f"Tables: {', '.join(found.tables) or 'none'}")
    click.echo(f"Indexes: {', '.join(name for name, _ in found.indexes) or 'none'}")
    for sentence in (*found.unfinished, *found.records):
        click.echo(f"To be lost: {sentence}")
