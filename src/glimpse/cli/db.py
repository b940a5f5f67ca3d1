"""``glimpse db``: the schema of the database (configuration 13.1)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from glimpse.cli.config_options import config_options
from glimpse.cli.database import failing_in_one_line, make_data_directory, not_made_yet, sql_settings_or_exit
from glimpse.cli.db_purge import purge, purge_images_table
from glimpse.cli.schema_setup import SYNC_HELPS, create_tables, schema_state
from glimpse.db import schema
from glimpse.db.extensions import Extensions, drop_extensions, extensions
from glimpse.db.schema import SchemaState
from glimpse.db.sql.engine import connect
from glimpse.db.sql.factory import wait_for_database
from glimpse.settings.model import Settings

#: Exit code of ``check`` if ``sync`` is needed; glance-manage uses it for missing tables.
NEEDS_SYNC = 3


@click.group()
def db() -> None:
    """Create, check or clean up the database."""


db.add_command(purge)
db.add_command(purge_images_table)


@db.command()
@config_options
def sync(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None) -> None:
    """Create missing tables. Does nothing if the database is up to date."""
    settings = sql_settings_or_exit(config_files, config_dirs, data_dir)
    with failing_in_one_line(settings):
        make_data_directory(settings)
        wait_for_database(settings.database, tell=partial(click.echo, err=True))
        report = create_tables(settings)
    click.echo("The tables were created." if report.changed else SchemaState.CURRENT.value)


@db.command()
@config_options
def version(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None) -> None:
    """Print the schema version of Glance's tables, then that of Glimpse's."""
    settings = sql_settings_or_exit(config_files, config_dirs, data_dir)
    if not_made_yet(settings):
        click.echo(SchemaState.MISSING.value)
        return
    with failing_in_one_line(settings):
        engine = connect(settings.database)
        try:
            found = schema.version(engine)
        finally:
            engine.dispose()
    rows = [*(found.glance or ()), *((found.own,) if found.own else ())]
    click.echo("\n".join(rows) if rows else "The database has no version.")


@db.command()
@config_options
def check(config_files: tuple[Path, ...], config_dirs: tuple[Path, ...], data_dir: str | None) -> None:
    """Check whether the database is up to date.

    The exit code is 0 if it is, 3 if `glimpse db sync` is needed, 1 if that would not help.
    """
    settings = sql_settings_or_exit(config_files, config_dirs, data_dir)
    with failing_in_one_line(settings):
        state = schema_state(settings)
    click.echo(state.value)
    if state is not SchemaState.CURRENT:
        raise SystemExit(NEEDS_SYNC if state in SYNC_HELPS else 1)


# --------------------------------------- ``glimpse db drop-extensions``: prepares the database for a return to Glance


@db.command("drop-extensions")
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
