"""The database interface for metadata definitions.

Implementations pass ``tests/contract/db/test_metadef*``. Every method may raise ``DatabaseUnavailable``; texts that do
not fit their columns are refused with ``Invalid``. A method that changes several rows does so in one transaction, and
writers in one namespace wait for each other.

Services check permissions first: methods take names of namespaces that the caller may see. A namespace removed
meanwhile is ``NotFound``. Names are compared as the database compares strings (database 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from glimpse.db.operations import reads, writes
from glimpse.db.records import Viewer
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


class MetadefFiles(Protocol):
    """Loading and exporting whole namespaces, for the command line and the first start."""

    @writes(for_admins=True)
    def load_namespace(self, content: NamespaceContent, mode: LoadMode) -> str:
        """Store a namespace with all its content as ``mode`` says, in one transaction.

        Missing resource types are created as protected. Returns ``created``, ``skipped``, ``merged`` or
        ``overwritten``.
        """
        ...

    @reads(may_lag=True)
    def export_namespaces(self, names: Sequence[str] = ()) -> list[NamespaceContent]:
        """Return all namespaces (or the given ones) with their content, both ordered by name."""
        ...

    @writes(for_admins=True)
    def unload_namespaces(self) -> int:
        """Remove every row of the metadata definition tables; returns the number of namespaces."""
        ...


class NamespaceDatabase(Protocol):
    """Namespaces with their content, and their resource types."""

    @reads(may_lag=True)
    def list_namespaces(self, query: NamespaceQuery, viewer: Viewer) -> list[NamespaceContent]:
        """Return one page of namespaces that the viewer may see, with their associations, in at most three statements.

        NULL sorts as the smallest value in every database, and paging neither omits nor repeats rows.

        :raises NotFound: the marker does not refer to a namespace.
        :raises Forbidden: the marker refers to a namespace that the viewer may not see.
        """
        ...

    @reads(may_lag=True)
    def get_namespace(self, name: str, viewer: Viewer) -> Namespace:
        """Return a namespace without its content.

        :raises NotFound: no such namespace, or the viewer may not see it.
        """
        ...

    @reads(may_lag=True)
    def get_content(self, name: str) -> NamespaceContent:
        """Return a namespace with its content in the order of creation; tags newest first.

        :raises NotFound: no such namespace.
        """
        ...

    @writes()
    def create_namespace(self, content: NamespaceContent) -> NamespaceContent:
        """Create a namespace with its content, or nothing; return it with its times.

        Missing resource types are created, unprotected.

        :raises Duplicate: the name is in use by any project, or two items of one kind have the same name.
        """
        ...

    @writes()
    def update_namespace(self, name: str, namespace: Namespace) -> Namespace:
        """Replace all fields of a namespace, including its name, except times; return the result.

        :raises NotFound: no such namespace.
        :raises Duplicate: the new name is taken.
        """
        ...

    @writes()
    def delete_namespace(self, name: str) -> None:
        """Remove a namespace with its content; resource types stay.

        :raises NotFound: no such namespace.
        :raises Forbidden: it is protected.
        """
        ...

    @reads(may_lag=True)
    def list_resource_types(self) -> list[ResourceType]:
        """All of them, in the order of creation."""
        ...

    @reads(may_lag=True)
    def list_associations(self, namespace: str) -> list[ResourceTypeAssociation]:
        """Those of one namespace, in the order of creation.

        :raises NotFound: no such namespace.
        """
        ...

    @writes()
    def add_association(self, namespace: str, association: ResourceTypeAssociation) -> ResourceTypeAssociation:
        """Associate a resource type, which is created if it does not exist; return the association with its times.

        :raises NotFound: no such namespace.
        :raises Duplicate: it is already associated.
        """
        ...

    @writes()
    def remove_association(self, namespace: str, resource_type: str) -> ResourceTypeAssociation:
        """Remove an association and return it. The name is compared exactly in every database.

        :raises NotFound: no such namespace, or it is not associated.
        :raises Forbidden: it is, and the namespace is protected.
        """
        ...


class ItemDatabase(Protocol):
    """Properties, objects and tags, which are handled in the same way; ``kind`` is the class of the records."""

    @reads(may_lag=True)
    def list_items(self, namespace: str, kind: type[ItemT]) -> list[ItemT]:
        """All of one kind, in the order of creation.

        :raises NotFound: no such namespace.
        """
        ...

    @reads(may_lag=True)
    def list_tags(self, namespace: str, query: TagQuery) -> list[MetadefTag]:
        """One page of tags.

        :raises NotFound: no such namespace, or the marker does not refer to one of its tags.
        """
        ...

    @reads(may_lag=True)
    def get_item(self, namespace: str, kind: type[ItemT], name: str) -> ItemT:
        """:raises NotFound: no such namespace, or nothing of this kind and name in it."""
        ...

    @writes()
    def add_item(self, namespace: str, item: ItemT) -> ItemT:
        """Create an item and return it with its times.

        :raises NotFound: no such namespace.
        :raises Duplicate: the name is taken.
        """
        ...

    @writes()
    def add_tags(self, namespace: str, names: Sequence[str], *, append: bool) -> list[MetadefTag]:
        """Create tags, replacing all others unless ``append``; return them with their times.

        :raises NotFound: no such namespace.
        :raises Duplicate: a name is repeated or in use; nothing is changed.
        """
        ...

    @writes()
    def replace_item(self, namespace: str, name: str, item: ItemT) -> tuple[ItemT, ItemT]:
        """Replace all fields of the item with this name, including its name, except times; return it before and after.

        :raises NotFound: no such namespace, or nothing of this kind and name in it.
        :raises Duplicate: the new name is taken.
        """
        ...

    @writes()
    def remove_item(self, namespace: str, kind: type[ItemT], name: str) -> ItemT:
        """Remove an item and return it.

        :raises NotFound: no such namespace, or nothing of this kind and name in it.
        :raises Forbidden: it is there, and the namespace is protected.
        """
        ...

    @writes(idempotent=True)
    def clear_items(self, namespace: str, kind: type[Item]) -> None:
        """Remove all items of one kind, even if there are none.

        :raises NotFound: no such namespace.
        :raises Forbidden: the namespace is protected.
        """
        ...


class MetadefDatabase(MetadefFiles, NamespaceDatabase, ItemDatabase, Protocol):
    """The complete interface for metadata definitions."""
