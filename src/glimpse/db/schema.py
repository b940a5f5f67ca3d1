"""Checks and upgrades the schema of a database.

Glance's tables are as after its last migration, and are never migrated here; Glimpse's own tables have their own
revisions (database 1 and 5). alembic is imported only if there is something to create.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from glimpse.db.schema_lock import alone

# imported from this module, so that it contains all tables
from glimpse.db.sql.metadef_tables import glance_metadata
from glimpse.db.sql.own_tables import glimpse_version
from glimpse.db.sql.tables import alembic_version
from glimpse.db.sql.transaction import read
from glimpse.errors import Conflict

#: Required content of ``alembic_version``; no Glance release after 2024.1 added a revision.
GLANCE_REVISION = "2024_1_contract01"
#: The revisions in ``migrations/versions``, the oldest first.
OWN_REVISIONS = (
    "glimpse_001",
    "glimpse_002",
    "glimpse_003",
    "glimpse_004",
    "glimpse_005",
    "glimpse_006",
    "glimpse_007",
    "glimpse_008",
)
#: The revision that this version of Glimpse needs.
OWN_REVISION = OWN_REVISIONS[-1]

_MIGRATIONS = Path(__file__).with_name("migrations")

# Revisions are named <release>_expand0n and <release>_contract0n, after a common trunk (database 5.1).
_GLANCE_TRUNK = frozenset({"liberty", "mitaka01", "mitaka02"})
_GLANCE_RELEASES = frozenset(
    "ocata pike queens rocky train ussuri wallaby xena yoga zed 2023_1 2024_1".split()  # noqa: SIM905 - reads better
)
# the version table of Glance before Ocata
_GLANCE_FORMER_VERSION = "migrate_version"


class SchemaState(Enum):
    """The state of a database for Glimpse; the value is a sentence for the operator (database 5.2)."""

    MISSING = "The database has no tables yet."
    EMPTY = "The database has tables but no version: its creation was interrupted, or it is not an image database."
    GLANCE_OUTDATED = (
        f"The tables belong to an older Glance release: upgrade them with glance-manage to {GLANCE_REVISION} first."
    )
    GLANCE_MID_UPGRADE = (
        f"The tables are in the middle of a Glance upgrade: finish it with glance-manage to {GLANCE_REVISION} first."
    )
    GLANCE_UNKNOWN = "The tables belong to a Glance release that this version of Glimpse does not know."
    OWN_MISSING = "Glimpse's own tables are missing or too old for this version."
    OWN_UNKNOWN = "Glimpse's own tables were created by a newer version of Glimpse."
    CURRENT = "The database is up to date."


class SchemaVersion(msgspec.Struct, frozen=True):
    """The rows of ``alembic_version`` (sorted; None without the table) and the revision of Glimpse's own part."""

    glance: tuple[str, ...] | None
    own: str | None


class SchemaReport(msgspec.Struct, frozen=True):
    """What :func:`sync` found, and whether it had anything to do."""

    before: SchemaState
    changed: bool


def version(engine: Engine) -> SchemaVersion:
    """Return the versions recorded in the database.

    :raises DatabaseUnavailable: it cannot be reached.
    """
    return read(engine, _version)


def check(engine: Engine) -> SchemaState:
    """Return the state of the database, without changing it.

    :raises DatabaseUnavailable: it cannot be reached.
    """
    return read(engine, _state)


def sync(engine: Engine) -> SchemaReport:
    """Upgrade the schema to this version's revision; several processes may do this concurrently.

    :raises Conflict: Glimpse must not change the database; the text is the sentence of its state.
    :raises DatabaseUnavailable: it cannot be reached, or its tables are in use for too long.
    :raises Forbidden: the database user lacks the permissions.
    """
    before = check(engine)
    if before is SchemaState.CURRENT:
        return SchemaReport(before, changed=False)
    return _sync(engine)


def made_by_newer_version(connection: Connection) -> bool:
    """Tell whether Glimpse's own tables have a revision that this version does not know."""
    return _version(connection).own not in {None, *OWN_REVISIONS}


def _sync(engine: Engine) -> SchemaReport:
    with alone(engine) as connection:
        before = _state(connection)
        match before:
            case SchemaState.CURRENT:
                return SchemaReport(before, changed=False)
            case SchemaState.MISSING | SchemaState.EMPTY:
                _require_nothing_to_lose(connection)
                _create_glance_tables(connection)
            case SchemaState.OWN_MISSING:
                pass
            case _:
                raise Conflict(before.value)
        _migrate_own_tables(connection)
    return SchemaReport(before, changed=True)


def _version(connection: Connection) -> SchemaVersion:
    inspector = sa.inspect(connection)
    glance = own = None
    if inspector.has_table(alembic_version.name):
        glance = tuple(sorted(connection.execute(sa.select(alembic_version.c.version_num)).scalars()))
    if inspector.has_table(glimpse_version.name):
        own = connection.execute(sa.select(glimpse_version.c.version_num)).scalar()
    return SchemaVersion(glance, own)


def _state(connection: Connection) -> SchemaState:
    found = _version(connection)
    if not found.glance:
        tables = set(sa.inspect(connection).get_table_names()) - {alembic_version.name, glimpse_version.name}
        return SchemaState.EMPTY if tables else SchemaState.MISSING
    if GLANCE_REVISION not in found.glance:
        return _state_of_glance(found.glance)
    if found.own == OWN_REVISION:
        return SchemaState.CURRENT
    return SchemaState.OWN_MISSING if found.own in {None, *OWN_REVISIONS} else SchemaState.OWN_UNKNOWN


def _state_of_glance(revisions: tuple[str, ...]) -> SchemaState:
    branches = [revision.rpartition("_") for revision in revisions if revision not in _GLANCE_TRUNK]
    if any(release not in _GLANCE_RELEASES for release, _, _ in branches):
        return SchemaState.GLANCE_UNKNOWN
    if any(branch.startswith("expand") for _, _, branch in branches):
        return SchemaState.GLANCE_MID_UPGRADE
    return SchemaState.GLANCE_OUTDATED


def _require_nothing_to_lose(connection: Connection) -> None:
    """Allow only tables that an interrupted creation may have left: our own, without rows."""
    inspector = sa.inspect(connection)
    found = inspector.get_table_names()
    if _GLANCE_FORMER_VERSION in found:
        raise Conflict(SchemaState.GLANCE_OUTDATED.value)
    for table in glance_metadata.sorted_tables:
        if table.name not in found:
            continue
        columns = [column["name"] for column in inspector.get_columns(table.name)]
        has_rows = connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None
        if columns != table.c.keys() or has_rows:
            raise Conflict(SchemaState.EMPTY.value)


def _create_glance_tables(connection: Connection) -> None:
    # MySQL commits each statement: the version is written last, so that an interrupted creation is resumed.
    begun = set(sa.inspect(connection).get_table_names())
    glance_metadata.create_all(connection)
    for table in glance_metadata.sorted_tables:
        if table.name in begun:
            for index in table.indexes:
                index.create(connection, checkfirst=True)
    connection.execute(sa.insert(alembic_version).values(version_num=GLANCE_REVISION))


def _migrate_own_tables(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import, and seldom needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
