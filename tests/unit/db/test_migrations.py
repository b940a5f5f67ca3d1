"""The revisions of Glimpse's own tables, and that a start on a current database does not load alembic."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from glimpse.db import schema
from glimpse.db.sql.engine import connect
from glimpse.db.sql.metadef_tables import glance_metadata
from glimpse.settings.model import DatabaseSettings, Secret

MIGRATIONS = Path(schema.__file__).with_name("migrations")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'g.sqlite'}"


def test_the_revisions_named_are_the_ones_there_are() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(revisions)) == schema.OWN_REVISIONS
    assert script.get_current_head() == schema.OWN_REVISION


def test_going_back_leaves_a_plain_glance_database(url: str) -> None:
    engine = connect(DatabaseSettings(connection=Secret(url)))
    schema.sync(engine)
    with engine.connect() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        command.downgrade(config, "base")
    assert set(sa.inspect(engine).get_table_names()) == {*glance_metadata.tables, "glimpse_version"}
    assert schema.check(engine) is schema.SchemaState.OWN_MISSING
    assert schema.sync(engine).changed
    assert schema.check(engine) is schema.SchemaState.CURRENT
    engine.dispose()


@pytest.mark.parametrize(("created", "loaded"), [(True, "False"), (False, "True")])
def test_alembic_is_loaded_only_to_create(url: str, created: bool, loaded: str) -> None:
    if created:
        engine = connect(DatabaseSettings(connection=Secret(url)))
        schema.sync(engine)
        engine.dispose()
    program = (
        "import sys\n"
        "from glimpse.db import schema\n"
        "from glimpse.db.sql.database import SqlDatabase\n"
        "from glimpse.db.sql.engine import connect\n"
        "from glimpse.settings.model import DatabaseSettings, Secret\n"
        "engine = connect(DatabaseSettings(connection=Secret(sys.argv[1])))\n"
        "schema.sync(engine)\n"
        "SqlDatabase(engine).close()\n"
        "print('alembic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout == f"{loaded}\n"
