"""Loading, exporting and removing whole namespaces (metadefs 12.2, 12.4 and 12.5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.exact_comparison import is_one_of
from glimpse.db.sql.metadef_items import insert_items
from glimpse.db.sql.metadef_namespaces import content_of, drop_namespace, insert_content
from glimpse.db.sql.metadef_resource_types import insert_associations, require_types
from glimpse.db.sql.metadef_rows import NAMESPACE_COLUMNS, TABLES, Row, association_row, item_row, locked, namespace_row
from glimpse.db.sql.metadef_tables import (
    metadef_namespace_resource_types,
    metadef_namespaces,
    metadef_resource_types,
)
from glimpse.db.sql.transaction import stamp
from glimpse.domain.metadef import Item, LoadMode, MetadefObject, MetadefTag, NamespaceContent
from glimpse.errors import NotFound

#: Default owner of a namespace from a file.
_LOADER = "admin"

_COLUMNS = metadef_namespaces.c
_ASSOCIATED = metadef_namespace_resource_types.c
_ALL = sa.select(_COLUMNS.id, *NAMESPACE_COLUMNS).order_by(_COLUMNS.namespace)
_TABLES = (*TABLES.values(), metadef_namespace_resource_types, metadef_namespaces, metadef_resource_types)


def load_namespace(connection: Connection, content: NamespaceContent, mode: LoadMode) -> str:
    """See the protocol."""
    moment = stamp(connection)
    named = msgspec.structs.replace(content.namespace, owner=content.namespace.owner or _LOADER)
    content = msgspec.structs.replace(content, namespace=named)
    try:
        number, _ = locked(connection, named.namespace)
    except NotFound:
        insert_content(connection, content, _new(moment), loaded=True)
        return "created"
    if mode is LoadMode.SKIP:
        return "skipped"
    if mode is LoadMode.OVERWRITE:
        drop_namespace(connection, number)
        insert_content(connection, content, _new(moment), loaded=True)
        return "overwritten"
    _merge(connection, number, content, moment, prefer_new=mode is LoadMode.PREFER_NEW)
    return "merged"


def export_namespaces(connection: Connection, names: Sequence[str] = ()) -> list[NamespaceContent]:
    """See the protocol; 5 statements for each namespace."""
    statement = (
        _ALL.where(is_one_of(_COLUMNS.namespace, sa.bindparam("names", names, expanding=True))) if names else _ALL
    )
    return [_sorted(content_of(connection, row)) for row in connection.execute(statement).fetchall()]


def unload_namespaces(connection: Connection) -> int:
    """See the protocol."""
    removed = 0
    for table in _TABLES:
        count = connection.execute(sa.delete(table)).rowcount
        if table is metadef_namespaces:
            removed = count
    return removed


def _new(moment: datetime) -> Row:
    # without updated_at, like Glance's loader
    return {"created_at": moment, "updated_at": None}


def _merge(
    connection: Connection, number: int, content: NamespaceContent, moment: datetime, *, prefer_new: bool
) -> None:
    if prefer_new:
        values = {**namespace_row(content.namespace), "updated_at": moment}
        connection.execute(sa.update(metadef_namespaces).where(_COLUMNS.id == number).values(values))
    _merge_associations(connection, number, content, moment, prefer_new=prefer_new)
    for items in (content.objects, content.tags, content.properties):
        _merge_items(connection, number, items, moment, prefer_new=prefer_new)


def _merge_associations(
    connection: Connection, number: int, content: NamespaceContent, moment: datetime, *, prefer_new: bool
) -> None:
    names = [association.name for association in content.associations]
    ids = require_types(connection, names, moment, loaded=True)
    present = set(
        connection.execute(sa.select(_ASSOCIATED.resource_type_id).where(_ASSOCIATED.namespace_id == number)).scalars()
    )
    fresh = [one for one in content.associations if ids[one.name] not in present]
    insert_associations(connection, number, fresh, moment, loaded=True)
    if not prefer_new:
        return
    for association in content.associations:
        resource_type = ids[association.name]
        if resource_type in present:
            connection.execute(
                sa.update(metadef_namespace_resource_types)
                .where(_ASSOCIATED.namespace_id == number, _ASSOCIATED.resource_type_id == resource_type)
                .values(**association_row(association), updated_at=moment)
            )
            connection.execute(
                sa.update(metadef_resource_types)
                .where(metadef_resource_types.c.id == resource_type)
                .values(updated_at=moment)
            )


def _merge_items(
    connection: Connection, number: int, items: Sequence[Item], moment: datetime, *, prefer_new: bool
) -> None:
    fresh: list[Item] = []
    for item in items:
        table = TABLES[type(item)]
        # one by one, because the database decides which names are equal
        found = connection.execute(
            sa.select(table.c.id).where(table.c.namespace_id == number, table.c.name == item.name)
        ).scalar()
        if found is None:
            fresh.append(item)
        elif prefer_new:
            connection.execute(sa.update(table).where(table.c.id == found).values(_newer(item, moment)))
    insert_items(connection, number, fresh, moment, loaded=True)


def _newer(item: Item, moment: datetime) -> dict[str, Any]:
    if isinstance(item, MetadefTag):
        return {"updated_at": moment}
    row = item_row(item)
    del row["name"]
    if isinstance(item, MetadefObject):
        # files have no list of required properties (metadefs 12.3)
        del row["required"]
    return {**row, "updated_at": moment}


def _sorted(content: NamespaceContent) -> NamespaceContent:
    return NamespaceContent(
        namespace=content.namespace,
        associations=tuple(sorted(content.associations, key=lambda one: one.name)),
        properties=tuple(sorted(content.properties, key=lambda one: one.name)),
        objects=tuple(sorted(content.objects, key=lambda one: one.name)),
        tags=tuple(sorted(content.tags, key=lambda one: one.name)),
    )
