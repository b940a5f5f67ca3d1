"""The tables of an SQL database: checks their state, and creates them for commands and at start."""

from __future__ import annotations

from functools import partial

import click

from glimpse.cli.database import embedded_file, not_made_yet, tell_waiting
from glimpse.db import schema
from glimpse.db.schema import SchemaState
from glimpse.db.sql.database import SqlDatabase
from glimpse.db.sql.engine import connect
from glimpse.db.sql.factory import wait_for_database
from glimpse.metadefs.files import load_default_catalog
from glimpse.settings.model import Settings

#: States that ``glimpse db sync`` fixes.
SYNC_HELPS = frozenset({SchemaState.MISSING, SchemaState.EMPTY, SchemaState.OWN_MISSING})


def schema_state(settings: Settings) -> SchemaState:
    """Return the state of the schema, without creating an embedded database that does not exist.

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

    :raises GlimpseError: it cannot be reached, or must not be changed.
    """
    engine = connect(settings.database)
    try:
        return schema.sync(engine)
    finally:
        engine.dispose()


def require_tables(settings: Settings) -> None:
    """Prepare the database for the service: create the tables of an empty database, and upgrade an embedded one.

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
    """Load the default catalog of metadata definitions into a new embedded database."""
    database = SqlDatabase(connect(settings.database))
    try:
        load_default_catalog(database)
    finally:
        database.close()
