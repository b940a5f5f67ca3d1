"""A database user without permissions gets an error, and Glance's tables are unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from glimpse.db import schema
from glimpse.db.extensions import drop_extensions
from glimpse.db.sql.engine import connect
from glimpse.db.sql.metadef_tables import glance_metadata
from glimpse.db.sql.tables import alembic_version
from glimpse.errors import Forbidden
from tests.contract.db.backends import Backend, settings_for
from tests.support.schema_facts import differences, schema_facts, without_extensions


@pytest.fixture
def guest(bare: Backend) -> Iterator[sa.Engine]:
    """A user who may read and write the rows of all tables, which are those of Glance."""
    if bare.kind == "sqlite":
        pytest.skip("SQLite has no users")
    glance_metadata.create_all(bare.engine)
    bare.execute(sa.insert(alembic_version).values(version_num=schema.GLANCE_REVISION))
    url = sa.make_url(bare.url)
    name = f"{url.database}_guest"
    made, gone = {
        "postgresql": (
            [
                f"DROP ROLE IF EXISTS {name}",
                f"CREATE ROLE {name} LOGIN PASSWORD 'secret'",
                f"GRANT CREATE ON SCHEMA public TO {name}",
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
            ],
            [f"DROP OWNED BY {name}", f"DROP ROLE {name}"],
        ),
        "mysql": (
            [
                f"CREATE OR REPLACE USER {name} IDENTIFIED BY 'secret'",
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON {url.database}.* TO {name}",
            ],
            [f"DROP USER {name}"],
        ),
    }[bare.kind]
    for statement in made:
        bare.execute(sa.text(statement))
    engine = connect(settings_for(url.set(username=name, password="secret").render_as_string(hide_password=False)))
    yield engine
    engine.dispose()
    for statement in gone:
        bare.execute(sa.text(statement))


def test_who_may_not_change_tables_is_told(bare: Backend, guest: sa.Engine) -> None:
    before = schema_facts(bare.engine)
    with pytest.raises(Forbidden, match="may not create or drop tables and indexes"):
        schema.sync(guest)
    assert differences(before, without_extensions(schema_facts(bare.engine))) == []
    assert schema.check(bare.engine) is not schema.SchemaState.CURRENT

    schema.sync(bare.engine)
    with pytest.raises(Forbidden, match="may not create or drop tables and indexes"):
        drop_extensions(guest)
    assert differences(before, without_extensions(schema_facts(bare.engine))) == []
