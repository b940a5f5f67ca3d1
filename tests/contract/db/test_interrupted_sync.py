"""If a process dies while it creates the schema, the next one can finish it."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from glimpse.db import schema
from glimpse.db.sql.engine import connect
from glimpse.db.sql.metadef_tables import glance_metadata
from glimpse.db.sql.tables import alembic_version
from tests.contract.db.backends import Backend, settings_for
from tests.support.schema_facts import Facts, differences, schema_facts

#: Where in the course of the creation the process dies.
MOMENTS = (0.2, 0.65, 0.95)

#: Kills itself before a statement that changes the schema or a version; arguments: URL, number of the statement.
PROGRAM = """
import os, signal, sys
from sqlalchemy import event
from glimpse.db import schema
from glimpse.db.sql.engine import connect
from tests.contract.db.backends import settings_for
from tests.contract.db.test_interrupted_sync import changes
left = int(sys.argv[2])
def count(_connection, _cursor, statement, *_):
    global left
    left -= changes(statement)
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
engine = connect(settings_for(sys.argv[1]))
event.listen(engine, "before_cursor_execute", count)
schema.sync(engine)
"""


def changes(statement: str) -> bool:
    """Whether it is one of the steps of the creation."""
    return statement.lstrip().startswith(("CREATE", "INSERT", "UPDATE", "ALTER"))


def undisturbed(backend: Backend) -> tuple[Facts, int]:
    """The whole schema, and how many steps lead to it."""
    steps: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if changes(statement):
            steps.append(statement)

    engine = connect(settings_for(backend.url))
    event.listen(engine, "before_cursor_execute", record)
    schema.sync(engine)
    engine.dispose()
    return schema_facts(backend.engine), len(steps)


def empty(backend: Backend) -> None:
    """Remove all tables."""
    with backend.engine.connect() as connection:
        if backend.kind == "postgresql":
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
            return
        connection.exec_driver_sql(
            {"mysql": "SET foreign_key_checks = 0", "sqlite": "PRAGMA foreign_keys = OFF"}[backend.kind]
        )
        for table in sa.inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql(
            {"mysql": "SET foreign_key_checks = 1", "sqlite": "PRAGMA foreign_keys = ON"}[backend.kind]
        )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("extending", [False, True], ids=["from nothing", "from Glance's"])
def test_what_a_killed_process_began_is_finished(bare: Backend, extending: bool) -> None:
    def begin() -> None:
        if extending:
            glance_metadata.create_all(bare.engine)
            bare.execute(sa.insert(alembic_version).values(version_num=schema.GLANCE_REVISION))

    begin()
    whole, steps = undisturbed(bare)
    for moment in MOMENTS[: 2 if bare.kind == "sqlite" else None]:
        empty(bare)
        begin()
        arguments = [bare.url, str(int(steps * moment))]
        died = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], check=False, timeout=120)
        assert died.returncode == -signal.SIGKILL
        assert schema.check(bare.engine) is not schema.SchemaState.CURRENT
        assert schema.sync(bare.engine).changed
        assert differences(whole, schema_facts(bare.engine)) == []
        assert schema.check(bare.engine) is schema.SchemaState.CURRENT
        assert not schema.sync(bare.engine).changed
