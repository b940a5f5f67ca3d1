"""Conversion between rows of the metadata definition tables and records (metadefs 15; database 7.7).

Values are written so that Glance can read them: JSON in ASCII with blanks after ``,`` and ``:``, names joined by commas
or NULL. Reading also accepts the values of old rows: NULL and the JSON text ``null``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.exact_comparison import equals
from glimpse.db.sql.metadef_tables import (
    metadef_namespace_resource_types,
    metadef_namespaces,
    metadef_objects,
    metadef_properties,
    metadef_resource_types,
    metadef_tags,
)
from glimpse.db.sql.texts import TEXT_BYTES, require_short, require_storable, storable
from glimpse.domain.metadef import (
    NAME_LENGTH,
    OWNER_LENGTH,
    Item,
    MetadefObject,
    MetadefProperty,
    MetadefTag,
    Namespace,
    ResourceTypeAssociation,
)
from glimpse.errors import Forbidden, Invalid, NotFound

Row = dict[str, Any]

#: The table of each kind of item.
TABLES: Mapping[type[Item], sa.Table] = {
    MetadefProperty: metadef_properties,
    MetadefObject: metadef_objects,
    MetadefTag: metadef_tags,
}

#: Name of each kind in messages.
NOUNS: Mapping[type[Item], str] = {MetadefProperty: "property", MetadefObject: "object", MetadefTag: "tag"}

_N = metadef_namespaces.c
NAMESPACE_COLUMNS = (
    _N.namespace, _N.display_name, _N.description, _N.visibility, _N.protected, _N.owner, _N.created_at, _N.updated_at,
)  # fmt: skip

_A = metadef_namespace_resource_types.c
ASSOCIATION_COLUMNS = (
    metadef_resource_types.c.name, _A.prefix, _A.properties_target, _A.created_at, _A.updated_at,
)  # fmt: skip


def namespace_of(row: Any) -> Namespace:
    """The record of a row of :data:`NAMESPACE_COLUMNS`."""
    return Namespace(
        namespace=row.namespace, display_name=row.display_name, description=row.description,
        visibility=row.visibility, protected=bool(row.protected), owner=row.owner, created_at=row.created_at,
        updated_at=row.updated_at,
    )  # fmt: skip


def namespace_row(namespace: Namespace) -> Row:
    """Return the columns of a namespace, without times.

    :raises Invalid: a text does not fit its column.
    """
    row: Row = {
        "namespace": namespace.namespace,
        "display_name": namespace.display_name,
        "description": namespace.description,
        "visibility": namespace.visibility,
        "protected": namespace.protected,
        "owner": namespace.owner or "",
    }
    require_storable(value for value in row.values() if isinstance(value, str))
    require_short(namespace.namespace, NAME_LENGTH, "The name of the namespace")
    require_short(namespace.display_name, NAME_LENGTH, "The display_name of the namespace")
    require_short(namespace.visibility, 32, "The visibility of the namespace")
    require_short(namespace.owner, OWNER_LENGTH, "The owner of the namespace")
    _require_text(namespace.description, "The description of the namespace")
    return row


def association_of(row: Any) -> ResourceTypeAssociation:
    """The record of a row of :data:`ASSOCIATION_COLUMNS`."""
    return ResourceTypeAssociation(
        name=row.name, prefix=row.prefix, properties_target=row.properties_target, created_at=row.created_at,
        updated_at=row.updated_at,
    )  # fmt: skip


def association_row(association: ResourceTypeAssociation) -> Row:
    """Return the columns of an association, without ids and times.

    :raises Invalid: a text, including the name of the resource type, does not fit its column.
    """
    require_storable((association.name, association.prefix, association.properties_target))
    require_short(association.name, NAME_LENGTH, "The name of the resource type")
    require_short(association.prefix, NAME_LENGTH, "The prefix")
    require_short(association.properties_target, NAME_LENGTH, "The properties_target")
    return {"prefix": association.prefix, "properties_target": association.properties_target}


def item_row(item: Item) -> Row:
    """Return the columns of an item, without ids and times.

    :raises Invalid: a text does not fit its column.
    """
    require_storable((item.name,))
    require_short(item.name, NAME_LENGTH, f"The name of the {NOUNS[type(item)]}")
    row: Row = {"name": item.name}
    if isinstance(item, MetadefProperty):
        row["json_schema"] = _json(item.schema, item.name)
    elif isinstance(item, MetadefObject):
        require_storable((item.description, *item.required, *(item.properties or {})))
        _require_text(item.description, "The description of the object")
        row["description"] = item.description
        row["required"] = ",".join(item.required) or None
        _require_text(row["required"], "The list of required properties")
        row["json_schema"] = _json(item.properties or {}, item.name)
    return row


def item_of(kind: type[Item], row: Any) -> Any:
    """The record of a row of the table of ``kind``."""
    return _ITEMS[kind](row, {"name": row.name, "created_at": row.created_at, "updated_at": row.updated_at})


def times(moment: datetime) -> Row:
    """The times of a new row."""
    return {"created_at": moment, "updated_at": moment}


def _property_of(row: Any, common: Row) -> MetadefProperty:
    return MetadefProperty(schema=_object_in(row.json_schema), **common)


def _object_of(row: Any, common: Row) -> MetadefObject:
    return MetadefObject(
        description=row.description,
        required=tuple(row.required.split(",")) if row.required else (),
        properties=_object_in(row.json_schema),
        **common,
    )


def _tag_of(_row: Any, common: Row) -> MetadefTag:
    return MetadefTag(**common)


_ITEMS: dict[type[Item], Callable[[Any, Row], Item]] = {
    MetadefProperty: _property_of,
    MetadefObject: _object_of,
    MetadefTag: _tag_of,
}


def _object_in(text: str) -> dict[str, Any]:
    found: Any = json.loads(text)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _json(value: Mapping[str, Any], name: str) -> str:
    text = json.dumps(value)
    _require_text(text, f"The definition of {name}")
    return text


def _require_text(text: str | None, what: str) -> None:
    if text is not None and len(text) * 3 > TEXT_BYTES and len(text.encode()) > TEXT_BYTES:
        raise Invalid(f"{what} is longer than {TEXT_BYTES} bytes.")


# -------------------------------------- Locking of a namespace's row, which every writer in the namespace locks first

_COLUMNS = metadef_namespaces.c
_ROW = sa.select(_COLUMNS.id, _COLUMNS.protected).where(
    equals(_COLUMNS.namespace, sa.bindparam("of_name", type_=sa.String()))
)
_LOCK = _ROW.with_for_update()


def no_such_namespace(name: str) -> NotFound:
    """Build the error for a namespace that does not exist or must look so."""
    return NotFound(f"There is no metadata namespace {name}.")


def namespace_id(connection: Connection, name: str) -> int:
    """:raises NotFound: no such namespace."""
    row = connection.execute(_ROW, {"of_name": name}).fetchone() if storable(name) else None
    if row is None:
        raise no_such_namespace(name)
    return row[0]


def locked(connection: Connection, name: str) -> tuple[int, bool]:
    """Lock a namespace; return its id and whether it is protected, both fixed until the transaction ends.

    :raises NotFound: no such namespace.
    """
    row = connection.execute(_LOCK, {"of_name": name}).fetchone() if storable(name) else None
    if row is None:
        raise no_such_namespace(name)
    return row[0], bool(row[1])


def require_unprotected(name: str, *, protected: bool) -> None:
    """:raises Forbidden: the namespace is protected."""
    if protected:
        raise Forbidden(f"The metadata namespace {name} is protected: nothing in it can be deleted.")
