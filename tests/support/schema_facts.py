"""What a database's catalogs say about its tables, in lines that can be compared between two databases.

The catalogs are asked directly: SQLAlchemy's inspector leaves out collations, engines, index kinds and sequences.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

#: (kind of fact, table, name) → the rest; checks have their text for a name, with the number of times it occurs.
Facts = dict[tuple[str, str, str], str]

#: Kinds of facts that the report counts.
TABLE, COLUMN, INDEX, FOREIGN, KEY, CHECK, OTHER = "table", "column", "index", "foreign key", "key", "check", "other"


def schema_facts(engine: Engine) -> Facts:
    """Everything about the tables of a database but their rows."""
    with engine.connect() as connection:
        return _READERS[engine.dialect.name](connection)


def without_extensions(facts: Mapping[tuple[str, str, str], str]) -> Facts:
    """Without the tables and indexes that begin with ``glimpse_``."""
    return {
        fact: text
        for fact, text in facts.items()
        if not fact[1].startswith("glimpse_") and not (fact[0] == INDEX and fact[2].startswith("glimpse_"))
    }


def differences(expected: Mapping[tuple[str, str, str], str], found: Mapping[tuple[str, str, str], str]) -> list[str]:
    """One line for each fact that only one has, or that both have differently."""
    return [
        f"{' '.join(fact)}: {expected.get(fact, 'none')} / {found.get(fact, 'none')}"
        for fact in sorted(expected.keys() | found.keys())
        if expected.get(fact) != found.get(fact)
    ]


def counts(facts: Mapping[tuple[str, str, str], str]) -> Counter[str]:
    """How many facts of each kind."""
    return Counter(kind for kind, _, _ in facts)


def _rows(connection: Connection, statement: str) -> list[dict[str, object]]:
    return [dict(row) for row in connection.execute(sa.text(statement)).mappings()]


def _text(row: Mapping[str, object], *left_out: str) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items() if name not in left_out)


def _collect(kind: str, rows: Iterable[Mapping[str, object]]) -> Facts:
    """Rows with ``tbl`` and ``name`` as facts; the text of rows of the same name is joined in their order."""
    facts: Facts = {}
    for row in rows:
        fact = kind, str(row["tbl"]), str(row["name"])
        text = _text(row, "tbl", "name")
        facts[fact] = f"{facts[fact]}; {text}" if fact in facts else text
    return facts


def _checks(rows: Iterable[tuple[str, str]]) -> Facts:
    """Checks by table and text: their names are generated."""
    counted = Counter((table, re.sub(r"[`\"\s]", "", text).lower()) for table, text in rows)
    return {(CHECK, table, text): str(count) for (table, text), count in counted.items()}


# ---------------------------------------------------------------------------------------------------- MariaDB

_MYSQL: dict[str, str] = {
    TABLE: "SELECT table_name tbl, '' name, engine, table_collation, row_format, create_options"
    " FROM information_schema.tables WHERE table_schema = database()",
    COLUMN: "SELECT table_name tbl, column_name name, ordinal_position position, column_type type, is_nullable,"
    " column_default dflt, extra, character_set_name charset, collation_name collation"
    " FROM information_schema.columns WHERE table_schema = database()",
    INDEX: "SELECT table_name tbl, index_name name, column_name col, non_unique, sub_part, collation, index_type"
    " FROM information_schema.statistics WHERE table_schema = database() ORDER BY tbl, name, seq_in_index",
    KEY: "SELECT table_name tbl, constraint_name name, constraint_type type FROM information_schema.table_constraints"
    " WHERE table_schema = database() AND constraint_type <> 'CHECK'",
    FOREIGN: "SELECT k.table_name tbl, k.constraint_name name, column_name col, k.referenced_table_name parent,"
    " referenced_column_name of, delete_rule, update_rule FROM information_schema.key_column_usage k"
    " JOIN information_schema.referential_constraints r ON r.constraint_schema = k.table_schema"
    " AND r.table_name = k.table_name AND r.constraint_name = k.constraint_name"
    " WHERE k.table_schema = database() ORDER BY tbl, name, k.ordinal_position",
    OTHER: "SELECT event_object_table tbl, trigger_name name, action_statement FROM information_schema.triggers"
    " WHERE trigger_schema = database() UNION ALL SELECT routine_type, routine_name, routine_definition"
    " FROM information_schema.routines WHERE routine_schema = database()",
}


def _mysql(connection: Connection) -> Facts:
    facts: Facts = {}
    for kind, statement in _MYSQL.items():
        facts |= _collect(kind, _rows(connection, statement))
    checks = _rows(
        connection,
        "SELECT table_name tbl, check_clause text FROM information_schema.check_constraints"
        " WHERE constraint_schema = database()",
    )
    return facts | _checks((str(row["tbl"]), str(row["text"])) for row in checks)


# ------------------------------------------------------------------------------------------------- PostgreSQL

_OURS = "relnamespace = current_schema()::regnamespace"
_POSTGRESQL: dict[str, str] = {
    TABLE: f"SELECT relname tbl, '' name, relkind, relpersistence, reloptions FROM pg_class"
    f" WHERE {_OURS} AND relkind IN ('r', 'v', 'm', 'p')",
    # a dropped column leaves a gap in attnum
    COLUMN: "SELECT relname tbl, attname name, row_number() OVER (PARTITION BY attrelid ORDER BY attnum) position,"
    " format_type(atttypid, atttypmod) type, attnotnull,"
    " pg_get_expr(adbin, adrelid) dflt, attidentity, attgenerated, collname FROM pg_attribute"
    " JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
    f" LEFT JOIN pg_collation l ON l.oid = attcollation WHERE {_OURS} AND relkind = 'r' AND attnum > 0"
    " AND NOT attisdropped",
    INDEX: "SELECT t.relname tbl, i.relname name, pg_get_indexdef(indexrelid) definition, indisvalid, indisready"
    " FROM pg_index JOIN pg_class t ON t.oid = indrelid JOIN pg_class i ON i.oid = indexrelid"
    f" WHERE t.{_OURS}",
    KEY: "SELECT relname tbl, conname name, pg_get_constraintdef(k.oid) definition, condeferrable FROM pg_constraint k"
    f" JOIN pg_class c ON c.oid = conrelid WHERE {_OURS} AND contype IN ('p', 'u', 'x')",
    FOREIGN: "SELECT relname tbl, conname name, pg_get_constraintdef(k.oid) definition, condeferrable, convalidated"
    f" FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid WHERE {_OURS} AND contype = 'f'",
    OTHER: "SELECT 'sequence' tbl, sequencename name, data_type::text || ' ' || increment_by::text"
    " || ' ' || min_value::text || ' ' || max_value::text || ' ' || cycle::text || ' ' || coalesce((SELECT"
    " c.relname || '.' || attname FROM pg_depend d JOIN pg_class c ON c.oid = refobjid JOIN pg_attribute"
    " ON attrelid = refobjid AND attnum = refobjsubid WHERE d.deptype = 'a'"
    " AND d.objid = quote_ident(sequencename)::regclass), 'nobody''s') definition"
    " FROM pg_sequences WHERE schemaname = current_schema()"
    " UNION ALL SELECT 'enum', typname, string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum"
    " JOIN pg_type t ON t.oid = enumtypid GROUP BY typname"
    " UNION ALL SELECT relname, tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid"
    f" WHERE {_OURS} AND NOT tgisinternal"
    " UNION ALL SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace",
}


def _postgresql(connection: Connection) -> Facts:
    facts: Facts = {}
    for kind, statement in _POSTGRESQL.items():
        facts |= _collect(kind, _rows(connection, statement))
    checks = _rows(
        connection,
        "SELECT relname tbl, pg_get_constraintdef(k.oid) text FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid"
        f" WHERE {_OURS} AND contype = 'c'",
    )
    return facts | _checks((str(row["tbl"]), str(row["text"])) for row in checks)


# ----------------------------------------------------------------------------------------------------- SQLite

_SQLITE: dict[str, str] = {
    TABLE: "SELECT name tbl, '' name, wr without_rowid, strict FROM pragma_table_list"
    " WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'",
    COLUMN: "SELECT t.name tbl, c.name name, cid position, c.type type, \"notnull\", dflt_value dflt, pk, hidden,"
    " coalesce(t.sql LIKE '%autoincrement%', 0) auto"
    " FROM sqlite_master t, pragma_table_xinfo(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
    FOREIGN: "SELECT t.name tbl, group_concat(\"from\") name, \"table\" parent, group_concat(\"to\") of, on_update,"
    " on_delete, match FROM sqlite_master t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'"
    " GROUP BY t.name, id",
    OTHER: "SELECT tbl_name tbl, name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')",
}  # fmt: skip
_SQLITE_INDEXES = (
    "SELECT t.name tbl, i.name name, \"unique\", origin, partial, x.name col, x.desc, x.coll, x.key"
    " FROM sqlite_master t, pragma_index_list(t.name) i, pragma_index_xinfo(i.name) x"
    " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY tbl, i.name, seqno"
)  # fmt: skip


def _sqlite(connection: Connection) -> Facts:
    facts: Facts = {}
    for kind, statement in _SQLITE.items():
        facts |= _collect(kind, _rows(connection, statement))
    facts |= _sqlite_indexes(connection)
    inspector = sa.inspect(connection)
    checks: list[tuple[str, str]] = []
    for table in inspector.get_table_names():
        for unique in inspector.get_unique_constraints(table):
            facts[KEY, table, str(unique["name"])] = f"unique {unique['column_names']}"
        primary = inspector.get_pk_constraint(table)
        facts[KEY, table, "primary"] = f"{primary['name']} {primary['constrained_columns']}"
        checks += [(table, check["sqltext"]) for check in inspector.get_check_constraints(table)]
    return facts | _checks(checks)


def _sqlite_indexes(connection: Connection) -> Facts:
    """Indexes of SQLite's own making are named by their order: they go by their columns here."""
    indexes = _collect(INDEX, _rows(connection, _SQLITE_INDEXES))
    return {
        (kind, table, f"automatic {text}" if name.startswith("sqlite_autoindex") else name): text
        for (kind, table, name), text in indexes.items()
    }


_READERS: dict[str, Callable[[Connection], Facts]] = {
    "mysql": _mysql,
    "postgresql": _postgresql,
    "sqlite": _sqlite,
}
