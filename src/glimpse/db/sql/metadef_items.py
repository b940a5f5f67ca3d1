"""Properties, objects and tags of namespaces: three tables that are handled in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.keyset import after_marker, marker_name, order_by
from glimpse.db.sql.metadef_rows import (
    NOUNS,
    TABLES,
    item_of,
    item_row,
    locked,
    namespace_id,
    require_unprotected,
    times,
)
from glimpse.db.sql.metadef_tables import metadef_tags
from glimpse.db.sql.texts import storable
from glimpse.db.sql.transaction import stamp
from glimpse.domain.listing import SortKey
from glimpse.domain.metadef import Item, ItemT, MetadefTag, TagQuery
from glimpse.errors import Duplicate, NotFound

_NAMESPACE = sa.bindparam("of_namespace", type_=sa.Integer())
_ID = sa.bindparam("row_id", type_=sa.Integer())


class _Statements(msgspec.Struct, frozen=True):
    """The statements on the table of one kind."""

    all: Any
    one: Any
    update: Any
    delete: Any
    clear: Any


@cache
def _statements(kind: type[Item]) -> _Statements:
    table = TABLES[kind]
    columns = table.c
    fields = [column for column in columns if column.name not in {"id", "namespace_id", "created_at"}]
    one = sa.and_(columns.namespace_id == _NAMESPACE, equals(columns.name, sa.bindparam("of_name", type_=sa.String())))
    return _Statements(
        all=sa.select(table).where(columns.namespace_id == _NAMESPACE).order_by(columns.id),
        one=sa.select(table).where(one),
        update=sa.update(table)
        .where(columns.id == _ID)
        .values({column.name: sa.bindparam(f"new_{column.name}", type_=column.type) for column in fields}),
        delete=sa.delete(table).where(columns.id == _ID),
        clear=sa.delete(table).where(columns.namespace_id == _NAMESPACE),
    )


def items_of(connection: Connection, number: int, kind: type[ItemT]) -> list[ItemT]:
    """All items of the namespace with the id ``number``."""
    rows = connection.execute(_statements(kind).all, {"of_namespace": number})
    return [item_of(kind, row) for row in rows]


def list_items(connection: Connection, namespace: str, kind: type[ItemT]) -> list[ItemT]:
    """See the protocol."""
    return items_of(connection, namespace_id(connection, namespace), kind)


def get_item(connection: Connection, namespace: str, kind: type[ItemT], name: str) -> ItemT:
    """See the protocol."""
    return item_of(kind, _row(connection, namespace_id(connection, namespace), kind, name))


def add_item(connection: Connection, namespace: str, item: ItemT) -> ItemT:
    """See the protocol."""
    moment = stamp(connection)
    number, _ = locked(connection, namespace)
    insert_items(connection, number, [item], moment)
    return msgspec.structs.replace(item, **times(moment))


def insert_items(
    connection: Connection, number: int, items: Sequence[Item], moment: datetime, *, loaded: bool = False
) -> None:
    """Insert new items of one kind; ``loaded`` from a file, they have no ``updated_at``.

    :raises Invalid: a text does not fit its column.
    :raises Duplicate: a name is repeated or in use.
    """
    if not items:
        return
    kind = type(items[0])
    stamps = {"created_at": moment, "updated_at": None if loaded else moment}
    rows = [{**item_row(item), **stamps, "namespace_id": number} for item in items]
    try:
        connection.execute(sa.insert(TABLES[kind]), rows)
    except IntegrityError as error:
        raise _taken(kind, [item.name for item in items]) from error


def replace_item(connection: Connection, namespace: str, name: str, item: ItemT) -> tuple[ItemT, ItemT]:
    """See the protocol."""
    kind = type(item)
    moment = stamp(connection)
    number, _ = locked(connection, namespace)
    row = _row(connection, number, kind, name)
    write_item(connection, row.id, item, moment)
    after = msgspec.structs.replace(item, created_at=row.created_at, updated_at=moment)
    return item_of(kind, row), after


def write_item(connection: Connection, row_id: int, item: Item, moment: datetime) -> None:
    """Update all columns of one row.

    :raises Invalid: a text does not fit its column.
    :raises Duplicate: the name is in use.
    """
    values: Mapping[str, Any] = {**item_row(item), "updated_at": moment}
    parameters = {f"new_{column}": value for column, value in values.items()}
    try:
        connection.execute(_statements(type(item)).update, {**parameters, "row_id": row_id})
    except IntegrityError as error:
        raise _taken(type(item), [item.name]) from error


def remove_item(connection: Connection, namespace: str, kind: type[ItemT], name: str) -> ItemT:
    """See the protocol."""
    number, protected = locked(connection, namespace)
    row = _row(connection, number, kind, name)
    require_unprotected(namespace, protected=protected)
    connection.execute(_statements(kind).delete, {"row_id": row.id})
    return item_of(kind, row)


def clear_items(connection: Connection, namespace: str, kind: type[Item]) -> None:
    """See the protocol."""
    number, protected = locked(connection, namespace)
    require_unprotected(namespace, protected=protected)
    drop_items(connection, number, kind)


def drop_items(connection: Connection, number: int, kind: type[Item]) -> None:
    """Remove all items of one kind, even from a protected namespace."""
    connection.execute(_statements(kind).clear, {"of_namespace": number})


def add_tags(connection: Connection, namespace: str, names: Sequence[str], *, append: bool) -> list[MetadefTag]:
    """See the protocol."""
    moment = stamp(connection)
    number, _ = locked(connection, namespace)
    if not append:
        drop_items(connection, number, MetadefTag)
    tags = [MetadefTag(name=name, **times(moment)) for name in names]
    insert_items(connection, number, tags, moment)
    return tags


def list_tags(connection: Connection, namespace: str, query: TagQuery) -> list[MetadefTag]:
    """See the protocol."""
    number = namespace_id(connection, namespace)
    statement = sa.select(metadef_tags).where(metadef_tags.c.namespace_id == _NAMESPACE)
    parameters: dict[str, Any] = {"of_namespace": number}
    if query.marker is not None:
        row = _row(connection, number, MetadefTag, query.marker)
        page, values = after_row(row, query.order, metadef_tags)
        statement = statement.where(page)
        parameters |= values
    state_nulls = connection.dialect.name == "postgresql"
    statement = statement.order_by(*order_by(query.order, state_nulls=state_nulls, table=metadef_tags))
    if query.limit is not None:
        statement = statement.limit(query.limit)
    return [item_of(MetadefTag, found) for found in connection.execute(statement, parameters)]


def after_row(row: Any, order: Sequence[SortKey], table: sa.Table) -> tuple[sa.ColumnElement[bool], dict[str, Any]]:
    """Return the condition for rows after this one, and its parameters."""
    values = [getattr(row, key.column) for key in order]
    parameters = {marker_name(position): value for position, value in enumerate(values) if value is not None}
    return after_marker(order, [value is None for value in values], table), parameters


def _row(connection: Connection, number: int, kind: type[Item], name: str) -> Any:
    row = None
    if storable(name):
        row = connection.execute(_statements(kind).one, {"of_namespace": number, "of_name": name}).fetchone()
    if row is None:
        raise NotFound(f"The namespace has no {NOUNS[kind]} {name}.")
    return row


def _taken(kind: type[Item], names: Sequence[str]) -> Duplicate:
    if len(names) == 1:
        return Duplicate(f"The namespace already has the {NOUNS[kind]} {names[0]}.")
    return Duplicate(f"Two of these are the same {NOUNS[kind]}, or one already exists: {', '.join(names)}.")
