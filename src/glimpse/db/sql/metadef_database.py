"""The part of the database that is about metadata definitions: each operation is one read or one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine

from glimpse.db.base_records import Viewer
from glimpse.db.sql import metadef_files, metadef_items, metadef_namespaces
from glimpse.db.sql import metadef_resource_types as types
from glimpse.db.sql.metadef_lock import locked, namespace_id, require_unprotected
from glimpse.db.sql.transaction import read, stamp, write
from glimpse.domain.metadef import (
    Item,
    ItemT,
    LoadMode,
    MetadefTag,
    Namespace,
    NamespaceContent,
    NamespaceQuery,
    ResourceType,
    ResourceTypeAssociation,
    TagQuery,
)
from glimpse.errors import NotFound


class Namespaces:
    """The part of the database that is about namespaces and resource types."""

    _engine: Engine

    def list_namespaces(self, query: NamespaceQuery, viewer: Viewer) -> list[NamespaceContent]:
        """See the protocol: 2 statements, 3 with a marker."""
        return read(self._engine, metadef_namespaces.list_namespaces, query, viewer)

    def get_namespace(self, name: str, viewer: Viewer) -> Namespace:
        """See the protocol: 1 statement."""
        return read(self._engine, metadef_namespaces.get_namespace, name, viewer)

    def get_content(self, name: str) -> NamespaceContent:
        """See the protocol: 5 statements."""
        return read(self._engine, metadef_namespaces.get_content, name)

    def create_namespace(self, content: NamespaceContent) -> NamespaceContent:
        """See the protocol: 1 statement, and 1 for each kind of content; associations take 2 to 4."""
        return write(self._engine, metadef_namespaces.create_namespace, content)

    def update_namespace(self, name: str, namespace: Namespace) -> Namespace:
        """See the protocol: 3 statements."""
        return write(self._engine, metadef_namespaces.update_namespace, name, namespace)

    def delete_namespace(self, name: str) -> None:
        """See the protocol: 6 statements."""
        write(self._engine, metadef_namespaces.delete_namespace, name)

    def list_resource_types(self) -> list[ResourceType]:
        """See the protocol: 1 statement."""
        return read(self._engine, types.resource_types)

    def list_associations(self, namespace: str) -> list[ResourceTypeAssociation]:
        """See the protocol: 2 statements."""
        return read(self._engine, _list_associations, namespace)

    def add_association(self, namespace: str, association: ResourceTypeAssociation) -> ResourceTypeAssociation:
        """See the protocol: 3 statements, 5 where the resource type is new."""
        return write(self._engine, _add_association, namespace, association)

    def remove_association(self, namespace: str, resource_type: str) -> ResourceTypeAssociation:
        """See the protocol: 3 statements."""
        return write(self._engine, _remove_association, namespace, resource_type)


class Items:
    """The part of the database that is about properties, objects and tags of namespaces."""

    _engine: Engine

    def list_items(self, namespace: str, kind: type[ItemT]) -> list[ItemT]:
        """See the protocol: 2 statements."""
        return read(self._engine, metadef_items.list_items, namespace, kind)

    def list_tags(self, namespace: str, query: TagQuery) -> list[MetadefTag]:
        """See the protocol: 2 statements, 3 with a marker."""
        return read(self._engine, metadef_items.list_tags, namespace, query)

    def get_item(self, namespace: str, kind: type[ItemT], name: str) -> ItemT:
        """See the protocol: 2 statements."""
        return read(self._engine, metadef_items.get_item, namespace, kind, name)

    def add_item(self, namespace: str, item: ItemT) -> ItemT:
        """See the protocol: 2 statements."""
        return write(self._engine, metadef_items.add_item, namespace, item)

    def add_tags(self, namespace: str, names: Sequence[str], *, append: bool) -> list[MetadefTag]:
        """See the protocol: 3 statements, 2 to append."""
        return write(self._engine, metadef_items.add_tags, namespace, names, append)

    def replace_item(self, namespace: str, name: str, item: ItemT) -> tuple[ItemT, ItemT]:
        """See the protocol: 3 statements."""
        return write(self._engine, metadef_items.replace_item, namespace, name, item)

    def remove_item(self, namespace: str, kind: type[ItemT], name: str) -> ItemT:
        """See the protocol: 3 statements."""
        return write(self._engine, metadef_items.remove_item, namespace, kind, name)

    def clear_items(self, namespace: str, kind: type[Item]) -> None:
        """See the protocol: 2 statements."""
        write(self._engine, metadef_items.clear_items, namespace, kind)


class Metadefs(Namespaces, Items):
    """All of :class:`glimpse.db.metadef_base.MetadefDatabase`."""

    def load_namespace(self, content: NamespaceContent, mode: LoadMode) -> str:
        """See the protocol: as the creation, 1 more; merging takes 1 or 2 for each item."""
        return write(self._engine, metadef_files.load_namespace, content, mode)

    def export_namespaces(self, names: Sequence[str] = ()) -> list[NamespaceContent]:
        """See the protocol: 1 statement, and 4 for each namespace."""
        return read(self._engine, metadef_files.export_namespaces, names)

    def unload_namespaces(self) -> int:
        """See the protocol: 6 statements."""
        return write(self._engine, metadef_files.unload_namespaces)


def _list_associations(connection: Connection, namespace: str) -> list[ResourceTypeAssociation]:
    number = namespace_id(connection, namespace)
    return types.associations_of(connection, [number])[number]


def _add_association(
    connection: Connection, namespace: str, association: ResourceTypeAssociation
) -> ResourceTypeAssociation:
    moment = stamp(connection)
    number, _ = locked(connection, namespace)
    types.insert_associations(connection, number, [association], moment)
    return ResourceTypeAssociation(
        name=association.name, prefix=association.prefix, properties_target=association.properties_target,
        created_at=moment, updated_at=moment,
    )  # fmt: skip


def _remove_association(connection: Connection, namespace: str, resource_type: str) -> ResourceTypeAssociation:
    number, protected = locked(connection, namespace)
    found = types.find_association(connection, number, resource_type)
    if found is None:
        raise NotFound(f"The metadata namespace {namespace} is not associated with {resource_type}.")
    require_unprotected(namespace, protected=protected)
    resource_type_id, association = found
    types.drop_association(connection, number, resource_type_id)
    return association
