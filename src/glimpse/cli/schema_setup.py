"""The tables of a SQL database: what state they are in, and making them for commands and when the service starts."""

from __future__ import annotations

from functools import partial

import click

from glimpse.cli.data_directory import embedded_file, not_made_yet
from glimpse.cli.startup_wait import tell_waiting
from glimpse.db import schema
from glimpse.db.schema import SchemaState
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.startup_wait import wait_for_database
from glimpse.metadefs.default_catalog import load_default_catalog
from glimpse.settings.model import Settings

#: States that ``glimpse db sync`` ends.
SYNC_HELPS = frozenset({SchemaState.MISSING, SchemaState.EMPTY, SchemaState.OWN_MISSING})


def schema_state(settings: Settings) -> SchemaState:
    """What the database is; an embedded one that does not exist is not created by asking.

    :raises GlimpseError: it cannot be reached, or its URL is wrong.
    """
    if not_made_yet(settings):
        return SchemaState.MISSING
    engine = connect(settings.database)
    try:
        return schema.check(engine)
    finally:
        engine.dispose()


def create_tables(settings: Settings) -> schema.SchemaReport:
    """Bring the database up to date.

    :raises GlimpseError: it cannot be reached, or is none that may be changed.
    """
    engine = connect(settings.database)
    try:
        return schema.sync(engine)
    finally:
        engine.dispose()


def require_tables(settings: Settings) -> None:
    """Let the service start: an empty database gets its tables, as an embedded one of an older version does.

    :raises ClickException: the database is not up to date.
    :raises GlimpseError: it cannot be reached, or its URL is wrong.
    """
    if embedded_file(settings) is None:
        wait_for_database(settings.database, tell=partial(tell_waiting, settings))
    state = schema_state(settings)
    own_doing = state is SchemaState.OWN_MISSING and embedded_file(settings) is not None
    if state is SchemaState.MISSING or own_doing:
        create_tables(settings)
        if state is SchemaState.MISSING and embedded_file(settings) is not None:
            _load_definitions(settings)
    elif state is not SchemaState.CURRENT:
        hint = " Run `glimpse db sync`." if state in SYNC_HELPS else ""
        raise click.ClickException(f"{state.value}{hint}")


def _load_definitions(settings: Settings) -> None:
    """Give a new embedded database the default catalog of metadata definitions."""
    database = SqlDatabase(connect(settings.database))
    try:
        load_default_catalog(database)
    finally:
        database.close()
