"""Resource types and their associations with namespaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from glimpse.db.sql.metadef_rows import (
    ASSOCIATION_COLUMNS,
    association_of,
    association_row,
    locked,
    namespace_id,
    require_unprotected,
    times,
)
from glimpse.db.sql.metadef_tables import metadef_namespace_resource_types, metadef_resource_types
from glimpse.db.sql.transaction import stamp
from glimpse.domain.metadef import ResourceType, ResourceTypeAssociation
from glimpse.errors import Duplicate, NotFound

_TYPES = metadef_resource_types.c
_ASSOCIATED = metadef_namespace_resource_types.c

_ALL = sa.select(_TYPES.name, _TYPES.protected, _TYPES.created_at, _TYPES.updated_at).order_by(_TYPES.id)
_IDS = sa.select(_TYPES.id, _TYPES.name).where(_TYPES.name.in_(sa.bindparam("names", expanding=True)))

#: If two transactions create the same type, the second one finds it.
_CREATE: dict[str, Any] = {
    "sqlite": sqlite.insert(metadef_resource_types).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(metadef_resource_types).on_conflict_do_nothing(),
    "mysql": mysql.insert(metadef_resource_types).on_duplicate_key_update(id=_TYPES.id),
}

_INSERT = sa.insert(metadef_namespace_resource_types)
_DELETE = sa.delete(metadef_namespace_resource_types).where(
    _ASSOCIATED.namespace_id == sa.bindparam("of_namespace", type_=sa.Integer()),
    _ASSOCIATED.resource_type_id == sa.bindparam("of_type", type_=sa.Integer()),
)
_OF_NAMESPACES = (
    sa.select(_ASSOCIATED.namespace_id, _ASSOCIATED.resource_type_id, *ASSOCIATION_COLUMNS)
    .join(metadef_resource_types, _TYPES.id == _ASSOCIATED.resource_type_id)
    .where(_ASSOCIATED.namespace_id.in_(sa.bindparam("namespaces", expanding=True)))
    .order_by(_ASSOCIATED.created_at, _ASSOCIATED.resource_type_id)
)


def list_resource_types(connection: Connection) -> list[ResourceType]:
    """See the protocol."""
    return [
        ResourceType(name=row.name, protected=bool(row.protected), created_at=row.created_at, updated_at=row.updated_at)
        for row in connection.execute(_ALL)
    ]


def associations_of(connection: Connection, namespace_ids: Sequence[int]) -> dict[int, list[ResourceTypeAssociation]]:
    """Return the associations of some namespaces by their ids."""
    found: dict[int, list[ResourceTypeAssociation]] = {number: [] for number in namespace_ids}
    if namespace_ids:
        for row in connection.execute(_OF_NAMESPACES, {"namespaces": namespace_ids}):
            found[row.namespace_id].append(association_of(row))
    return found


def find_association(
    connection: Connection, namespace_id: int, name: str
) -> tuple[int, ResourceTypeAssociation] | None:
    """Return the association of one type with its id. Compared here, because MySQL treats ``A`` and ``a`` as equal."""
    for row in connection.execute(_OF_NAMESPACES, {"namespaces": [namespace_id]}):
        if row.name == name:
            return row.resource_type_id, association_of(row)
    return None


def drop_association(connection: Connection, namespace_id: int, resource_type_id: int) -> None:
    """Remove one association; the type stays."""
    connection.execute(_DELETE, {"of_namespace": namespace_id, "of_type": resource_type_id})


def insert_associations(
    connection: Connection,
    namespace_id: int,
    associations: Sequence[ResourceTypeAssociation],
    moment: datetime,
    *,
    loaded: bool = False,
) -> None:
    """Associate types, creating missing ones; if ``loaded`` from a file, they are protected.

    :raises Invalid: a text does not fit its column.
    :raises Duplicate: a type is repeated or already associated.
    """
    if not associations:
        return
    rows = [association_row(association) for association in associations]
    ids = require_types(connection, (one.name for one in associations), moment, loaded=loaded)
    stamps = {"created_at": moment, "updated_at": None if loaded else moment}
    inserted = [
        {**row, **stamps, "namespace_id": namespace_id, "resource_type_id": ids[association.name]}
        for row, association in zip(rows, associations, strict=True)
    ]
    try:
        connection.execute(_INSERT, inserted)
    except IntegrityError as error:
        raise Duplicate("A resource type is already associated with the namespace.") from error


def require_types(
    connection: Connection, names: Iterable[str], moment: datetime, *, loaded: bool = False
) -> Mapping[str, int]:
    """Return the ids of resource types by name; missing ones are created."""
    wanted = sorted(set(names))  # always in the same order, so that two transactions do not wait for each other
    ids = _ids(connection, wanted) if wanted else {}
    missing = [name for name in wanted if name not in ids]
    if missing:
        stamps = {**times(moment), **({"updated_at": None} if loaded else {})}
        rows = [{"name": name, "protected": loaded, **stamps} for name in missing]
        connection.execute(_CREATE[connection.dialect.name], rows)
        ids = _ids(connection, wanted)
    return ids


def _ids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    if connection.dialect.name != "mysql":
        return {row.name: row.id for row in connection.execute(_IDS, {"names": names})}
    # one by one: MySQL may have a type in another spelling, and only MySQL knows which spellings are equal
    found = {name: connection.execute(_IDS, {"names": [name]}).scalar() for name in names}
    return {name: number for name, number in found.items() if number is not None}


def list_associations(connection: Connection, namespace: str) -> list[ResourceTypeAssociation]:
    """See the protocol."""
    number = namespace_id(connection, namespace)
    return associations_of(connection, [number])[number]


def add_association(
    connection: Connection, namespace: str, association: ResourceTypeAssociation
) -> ResourceTypeAssociation:
    """See the protocol."""
    moment = stamp(connection)
    number, _ = locked(connection, namespace)
    insert_associations(connection, number, [association], moment)
    return ResourceTypeAssociation(
        name=association.name, prefix=association.prefix, properties_target=association.properties_target,
        created_at=moment, updated_at=moment,
    )  # fmt: skip


def remove_association(connection: Connection, namespace: str, resource_type: str) -> ResourceTypeAssociation:
    """See the protocol."""
    number, protected = locked(connection, namespace)
    found = find_association(connection, number, resource_type)
    if found is None:
        raise NotFound(f"The metadata namespace {namespace} is not associated with {resource_type}.")
    require_unprotected(namespace, protected=protected)
    resource_type_id, association = found
    drop_association(connection, number, resource_type_id)
    return association
