"""A database created by Glimpse equals the result of Glance's last migration, plus Glimpse's own tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from glimpse.db import schema
from tests.contract.db import glance_schema
from tests.contract.db.backends import Backend

POSITIONS = {"mysql": 0, "postgresql": 1, "sqlite": 2}


@pytest.fixture
def fresh(backend: Backend) -> Backend:
    """What :func:`schema.sync` made of a database without tables."""
    return backend


def columns_of(table: str) -> Iterator[tuple[str, str, bool, str | None]]:
    """Name, type key, nullable, server default."""
    for column in glance_schema.COLUMNS[table].split(", "):
        name, kind, *default = column.split()
        yield name.rstrip("?"), kind, name.endswith("?"), default[0][1:] if default else None


def type_of(kind: str, key: str) -> str:
    if key.startswith("S"):
        return f"VARCHAR({key[1:]})"
    return glance_schema.TYPES[key][POSITIONS[kind]]


def default_of(kind: str, key: str, default: str | None, table: str, name: str) -> str | None:
    if key in {"AI", "ABI"} and kind == "postgresql":
        return f"nextval('{table}_{name}_seq'::regclass)"
    if default is None:
        return None
    if key == "B":
        return default if kind == "postgresql" else "0"
    suffix = {"VIS": "::image_visibility", "S": "::character varying"}["VIS" if key == "VIS" else "S"]
    return f"'{default}'" + (suffix if kind == "postgresql" else "")


def shown_type(kind: str, column_type: sa.types.TypeEngine[object]) -> str:
    if isinstance(column_type, sa.Enum):
        assert list(column_type.enums) == ["private", "public", "shared", "community"]
        assert kind == "mysql" or column_type.name == "image_visibility"
        return type_of(kind, "VIS")
    text = re.sub(r' COLLATE "?\w+"?', "", str(column_type))
    return re.sub(r"(INTEGER|BIGINT|TINYINT)\(\d+\)", r"\1", text)


def test_the_tables(fresh: Backend) -> None:
    assert set(sa.inspect(fresh.engine).get_table_names()) == set(glance_schema.COLUMNS)


@pytest.mark.parametrize("table", glance_schema.COLUMNS)
def test_columns(fresh: Backend, table: str) -> None:
    found = [
        (column["name"], shown_type(fresh.kind, column["type"]), column["nullable"], column["default"])
        for column in sa.inspect(fresh.engine).get_columns(table)
    ]
    assert found == [
        (name, type_of(fresh.kind, key), nullable, default_of(fresh.kind, key, default, table, name))
        for name, key, nullable, default in columns_of(table)
    ]


@pytest.mark.parametrize("table", glance_schema.COLUMNS)
def test_keys_and_indexes(fresh: Backend, table: str) -> None:
    inspector = sa.inspect(fresh.engine)
    first = next(columns_of(table))[0]
    primary = inspector.get_pk_constraint(table)
    assert primary["constrained_columns"] == glance_schema.PRIMARY_KEYS.get(table, [first])
    if table.endswith("_version") and fresh.kind != "mysql":
        assert primary["name"] == f"{table}_pkc"

    foreign = {key["constrained_columns"][0]: key for key in inspector.get_foreign_keys(table)}
    expected = glance_schema.FOREIGN_KEYS.get(table, {})
    assert {column: (key["referred_table"], key["referred_columns"][0]) for column, key in foreign.items()} == {
        column: (parent, of) for column, (parent, of, _) in expected.items()
    }
    for column, (_, _, position) in expected.items():
        assert foreign[column]["options"] == {}
        names = {"postgresql": f"{table}_{column}_fkey", "mysql": f"{table}_ibfk_{position}", "sqlite": None}
        assert foreign[column]["name"] == names[fresh.kind]

    unique = {key["name"]: key["column_names"] for key in inspector.get_unique_constraints(table)}
    assert unique == glance_schema.UNIQUE.get(table, {})
    indexes = {index["name"]: index["column_names"] for index in inspector.get_indexes(table) if not index["unique"]}
    extra = glance_schema.MYSQL_INDEXES.get(table, {}) if fresh.kind == "mysql" else {}
    assert indexes == glance_schema.INDEXES.get(table, {}) | extra | glance_schema.list_indexes(fresh.kind, table)


@pytest.mark.parametrize("table", ["images", "image_properties", "image_members", "image_tags"])
def test_deleted_rows_are_in_none_of_the_indexes_for_lists(fresh: Backend, table: str) -> None:
    """MySQL, which has no such indexes, keeps them apart: ``test_keys_and_indexes``."""
    found = {str(index["name"]): index for index in sa.inspect(fresh.engine).get_indexes(table)}
    for name in glance_schema.list_indexes(fresh.kind, table):
        where = str(found[name].get("dialect_options", {}).get(f"{fresh.kind}_where", ""))
        assert ("deleted" in where) == (fresh.kind != "mysql")
        assert ("length(value) <= 255" in where) == (table == "image_properties" and fresh.kind != "mysql")
        # private and shared images, nearly all, are only in the indexes by owner and by key
        assert ("community" in where) == (name == "glimpse_images_visibility" and fresh.kind != "mysql")


@pytest.mark.parametrize("table", glance_schema.COLUMNS)
def test_checks(fresh: Backend, table: str) -> None:
    checks = [check["sqltext"].lower() for check in sa.inspect(fresh.engine).get_check_constraints(table)]
    if fresh.kind == "postgresql":
        assert checks == []
        return
    found = sorted(re.sub(r"[`\s]", "", check) for check in checks)
    assert found == sorted(
        f"{name}in(0,1)"
        for name, key, _, _ in columns_of(table)
        if key == "B" and (table, name) not in glance_schema.UNCHECKED[fresh.kind]
    )


def test_what_only_mysql_has(fresh: Backend) -> None:
    if fresh.kind != "mysql":
        pytest.skip("engines and charsets")
    with fresh.engine.connect() as connection:
        for table in glance_schema.COLUMNS:
            created: str = connection.exec_driver_sql(f"SHOW CREATE TABLE {table}").one()[1]
            assert "ENGINE=InnoDB" in created
            assert re.search(r"CHARSET=utf8(mb3)? ", created)
            increments = [name for name, key, _, _ in columns_of(table) if key in {"AI", "ABI"}]
            assert re.findall(r"`(\w+)` \w+\(\d+\) NOT NULL AUTO_INCREMENT", created) == increments


def test_the_version_rows(fresh: Backend) -> None:
    assert schema.version(fresh.engine) == schema.SchemaVersion(("2024_1_contract01",), schema.OWN_REVISION)


def test_the_migrations_make_what_the_tables_say(fresh: Backend) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from glimpse.db.sql.metadef_tables import glance_metadata
    from glimpse.db.sql.own_tables import own_metadata

    # MySQL's 0 is not seen to be false; test_columns looks at the defaults themselves
    defaults = fresh.kind != "mysql"
    with fresh.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"version_table": "no_such_table", "compare_type": True, "compare_server_default": defaults},
        )
        differences = compare_metadata(context, [glance_metadata, own_metadata])
    # test_keys_and_indexes looks at those for lists
    assert [
        difference
        for difference in differences
        if difference[0] != "remove_index"
        or difference[1].name not in glance_schema.list_indexes(fresh.kind, difference[1].table.name)
    ] == []


def test_no_rows_are_there(fresh: Backend) -> None:
    from glimpse.db.sql.metadef_tables import glance_metadata

    for table in glance_metadata.sorted_tables:
        assert table.name == "alembic_version" or fresh.rows(table) == []
