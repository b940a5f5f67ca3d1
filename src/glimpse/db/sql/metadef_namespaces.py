"""Statements on namespaces with their content: find, read, create, change, remove."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from glimpse.db.records import Viewer
from glimpse.db.sql.exact_comparison import equals, is_one_of
from glimpse.db.sql.keyset import order_by
from glimpse.db.sql.metadef_items import after_row, drop_items, insert_items, items_of
from glimpse.db.sql.metadef_resource_types import associations_of, insert_associations
from glimpse.db.sql.metadef_rows import (
    NAMESPACE_COLUMNS,
    TABLES,
    Row,
    locked,
    namespace_of,
    namespace_row,
    no_such_namespace,
    require_unprotected,
    times,
)
from glimpse.db.sql.metadef_tables import (
    metadef_namespace_resource_types,
    metadef_namespaces,
    metadef_resource_types,
)
from glimpse.db.sql.texts import storable
from glimpse.db.sql.transaction import stamp
from glimpse.domain.metadef import (
    MetadefObject,
    MetadefProperty,
    MetadefTag,
    Namespace,
    NamespaceContent,
    NamespaceQuery,
)
from glimpse.errors import Duplicate, Forbidden, NotFound

_COLUMNS = metadef_namespaces.c
_ASSOCIATED = metadef_namespace_resource_types.c
_PROJECT = sa.bindparam("project", type_=sa.String())
_SEEN = sa.or_(_COLUMNS.visibility == "public", equals(_COLUMNS.owner, _PROJECT))
_ONE = sa.select(_COLUMNS.id, *NAMESPACE_COLUMNS).where(
    equals(_COLUMNS.namespace, sa.bindparam("of_name", type_=sa.String()))
)
_OF_TYPES = sa.exists().where(
    _ASSOCIATED.namespace_id == _COLUMNS.id,
    _ASSOCIATED.resource_type_id == metadef_resource_types.c.id,
    is_one_of(metadef_resource_types.c.name, sa.bindparam("types", expanding=True)),
)
_INSERT = sa.insert(metadef_namespaces)
_UPDATE = sa.update(metadef_namespaces).where(_COLUMNS.id == sa.bindparam("row_id", type_=sa.Integer()))
_DELETE = sa.delete(metadef_namespaces).where(_COLUMNS.id == sa.bindparam("row_id", type_=sa.Integer()))
_DELETE_ASSOCIATIONS = sa.delete(metadef_namespace_resource_types).where(
    _ASSOCIATED.namespace_id == sa.bindparam("of_namespace", type_=sa.Integer())
)


def find_row(connection: Connection, name: str) -> Any:
    """Return the row of a namespace, with its id.

    :raises NotFound: no such namespace.
    """
    row = connection.execute(_ONE, {"of_name": name}).fetchone() if storable(name) else None
    if row is None:
        raise no_such_namespace(name)
    return row


def get_namespace(connection: Connection, name: str, viewer: Viewer) -> Namespace:
    """See the protocol."""
    row = find_row(connection, name)
    if not _sees(viewer, row):
        raise no_such_namespace(name)
    return namespace_of(row)


def get_content(connection: Connection, name: str) -> NamespaceContent:
    """See the protocol."""
    row = find_row(connection, name)
    return content_of(connection, row)


def content_of(connection: Connection, row: Any) -> NamespaceContent:
    """Return the namespace of this row with its content."""
    return NamespaceContent(
        namespace=namespace_of(row),
        associations=tuple(associations_of(connection, [row.id])[row.id]),
        properties=tuple(items_of(connection, row.id, MetadefProperty)),
        objects=tuple(items_of(connection, row.id, MetadefObject)),
        tags=tuple(reversed(items_of(connection, row.id, MetadefTag))),
    )


def list_namespaces(connection: Connection, query: NamespaceQuery, viewer: Viewer) -> list[NamespaceContent]:
    """See the protocol; at most 3 statements."""
    marker = None if query.marker is None else _marker_row(connection, query.marker, viewer)
    conditions, parameters = _filters(query, viewer)
    if marker is not None:
        condition, values = after_row(marker, query.order, metadef_namespaces)
        conditions.append(condition)
        parameters |= values
    # a text that cannot be stored matches nothing
    unknown = not storable("".join([query.visibility or "", *(query.resource_types or ())]))
    if unknown or query.limit <= 0 or query.resource_types == ():
        return []
    statement = (
        sa.select(_COLUMNS.id, *NAMESPACE_COLUMNS)
        .where(*conditions)
        .order_by(*order_by(query.order, state_nulls=connection.dialect.name == "postgresql", table=metadef_namespaces))
        .limit(query.limit)
    )
    rows = connection.execute(statement, parameters).fetchall()
    associations = associations_of(connection, [row.id for row in rows])
    return [NamespaceContent(namespace=namespace_of(row), associations=tuple(associations[row.id])) for row in rows]


def _filters(query: NamespaceQuery, viewer: Viewer) -> tuple[list[sa.ColumnElement[bool]], Row]:
    conditions: list[sa.ColumnElement[bool]] = []
    parameters: Row = {}
    if not viewer.is_admin:
        conditions.append(_SEEN)
        parameters["project"] = viewer.project_id
    if query.visibility is not None:
        conditions.append(equals(_COLUMNS.visibility, sa.bindparam("wanted", type_=sa.String())))
        parameters["wanted"] = query.visibility
    if query.resource_types is not None:
        conditions.append(_OF_TYPES)
        parameters["types"] = list(query.resource_types)
    return conditions, parameters


def _marker_row(connection: Connection, name: str, viewer: Viewer) -> Any:
    try:
        row = find_row(connection, name)
    except NotFound:
        raise NotFound(f"The marker {name} does not refer to a metadata namespace.") from None
    if not _sees(viewer, row):
        raise Forbidden("The marker refers to a metadata namespace that is not visible to you.")
    return row


def _sees(viewer: Viewer, row: Any) -> bool:
    return viewer.is_admin or row.visibility == "public" or row.owner == viewer.project_id


def create_namespace(connection: Connection, content: NamespaceContent) -> NamespaceContent:
    """See the protocol."""
    moment = stamp(connection)
    insert_content(connection, content, times(moment))
    return NamespaceContent(
        namespace=msgspec.structs.replace(content.namespace, **times(moment)),
        associations=tuple(msgspec.structs.replace(one, **times(moment)) for one in content.associations),
        properties=tuple(msgspec.structs.replace(one, **times(moment)) for one in content.properties),
        objects=tuple(msgspec.structs.replace(one, **times(moment)) for one in content.objects),
        tags=tuple(msgspec.structs.replace(one, **times(moment)) for one in content.tags),
    )


def insert_content(connection: Connection, content: NamespaceContent, stamps: Row, *, loaded: bool = False) -> None:
    """Insert a namespace with its content; ``stamps`` are its times, ``loaded`` is true for a file.

    :raises Invalid: a text does not fit its column.
    :raises Duplicate: the name is in use, or two items of one kind have the same name.
    """
    moment = stamps["created_at"]
    try:
        inserted = connection.execute(_INSERT, {**namespace_row(content.namespace), **stamps})
    except IntegrityError as error:
        raise _name_taken(content.namespace.namespace) from error
    number: int = cast("Any", inserted.inserted_primary_key)[0]
    insert_associations(connection, number, content.associations, moment, loaded=loaded)
    for items in (content.objects, content.tags, content.properties):
        insert_items(connection, number, items, moment, loaded=loaded)


def update_namespace(connection: Connection, name: str, namespace: Namespace) -> Namespace:
    """See the protocol."""
    moment = stamp(connection)
    number, _ = locked(connection, name)
    values: Row = {**namespace_row(namespace), "updated_at": moment}
    try:
        connection.execute(_UPDATE.values(values), {"row_id": number})
    except IntegrityError as error:
        raise _name_taken(namespace.namespace) from error
    return namespace_of(find_row(connection, namespace.namespace))


def delete_namespace(connection: Connection, name: str) -> None:
    """See the protocol."""
    number, protected = locked(connection, name)
    require_unprotected(name, protected=protected)
    drop_namespace(connection, number)


def drop_namespace(connection: Connection, number: int) -> None:
    """Remove a namespace with its content, even if it is protected."""
    for kind in TABLES:
        drop_items(connection, number, kind)
    connection.execute(_DELETE_ASSOCIATIONS, {"of_namespace": number})
    connection.execute(_DELETE, {"row_id": number})


def _name_taken(name: str) -> Duplicate:
    return Duplicate(f"A metadata namespace {name} already exists, perhaps one that is not visible to you.")
