"""The database of metadata definitions as the services see it.

Implementations pass ``tests/contract/db/test_metadef*``. Every method may raise ``DatabaseUnavailable``; texts that do
not fit their columns are refused with ``Invalid``. A method that changes several rows does so in one transaction, and
writers in one namespace wait for each other.

Who may see or do what is asked before: methods take the names of namespaces that the caller was shown. A namespace
that went away meanwhile is ``NotFound``. Names compare as the database compares texts (database 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from glimpse.db.base_records import Viewer
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

    def load_namespace(self, content: NamespaceContent, mode: LoadMode) -> str:
        """Store a namespace with all its content as ``mode`` says, in one transaction.

        Resource types that do not exist are created protected. Returns what was done: ``created``, ``skipped``,
        ``merged`` or ``overwritten``.
        """
        ...

    def export_namespaces(self, names: Sequence[str] = ()) -> list[NamespaceContent]:
        """All namespaces (or those named) with their content, ordered by name; content ordered by name too."""
        ...

    def unload_namespaces(self) -> int:
        """Remove every row of the metadata definition tables; returns the number of namespaces."""
        ...


class NamespaceDatabase(Protocol):
    """Namespaces as a whole, and the resource types that they are about."""

    def list_namespaces(self, query: NamespaceQuery, viewer: Viewer) -> list[NamespaceContent]:
        """One page of the namespaces that the viewer sees, with their associations, in at most three statements.

        NULL sorts as the smallest value in every database, and paging over it neither loses nor repeats rows.

        :raises NotFound: the marker names no namespace.
        :raises Forbidden: the marker names a namespace that the viewer does not see.
        """
        ...

    def get_namespace(self, name: str, viewer: Viewer) -> Namespace:
        """A namespace without its content.

        :raises NotFound: no such namespace, or one that the viewer does not see.
        """
        ...

    def get_content(self, name: str) -> NamespaceContent:
        """A namespace with all that is in it, in the order of creation; tags the newest first.

        :raises NotFound: no such namespace.
        """
        ...

    def create_namespace(self, content: NamespaceContent) -> NamespaceContent:
        """Store a namespace with all its content or nothing of it; returns it with its times.

        Resource types that do not exist are created, not protected.

        :raises Duplicate: the name is taken, by whomever; or two parts of one kind have the same name.
        """
        ...

    def update_namespace(self, name: str, namespace: Namespace) -> Namespace:
        """Give a namespace all fields of ``namespace``, its name too; times apart. Returns it as it is then.

        :raises NotFound: no such namespace.
        :raises Duplicate: the new name is taken.
        """
        ...

    def delete_namespace(self, name: str) -> None:
        """Remove a namespace with all that is in it; resource types stay.

        :raises NotFound: no such namespace.
        :raises Forbidden: it is protected.
        """
        ...

    def list_resource_types(self) -> list[ResourceType]:
        """All of them, in the order of creation."""
        ...

    def list_associations(self, namespace: str) -> list[ResourceTypeAssociation]:
        """Those of one namespace, in the order of creation.

        :raises NotFound: no such namespace.
        """
        ...

    def add_association(self, namespace: str, association: ResourceTypeAssociation) -> ResourceTypeAssociation:
        """Associate a resource type, which is created where it does not exist. Returns it with its times.

        :raises NotFound: no such namespace.
        :raises Duplicate: it is associated already.
        """
        ...

    def remove_association(self, namespace: str, resource_type: str) -> ResourceTypeAssociation:
        """Undo an association and return it. The name is compared exactly, whatever the database.

        :raises NotFound: no such namespace, or it is not associated.
        :raises Forbidden: it is, and the namespace is protected.
        """
        ...


class ItemDatabase(Protocol):
    """Properties, objects and tags, which are handled alike: ``kind`` is the class of the records."""

    def list_items(self, namespace: str, kind: type[ItemT]) -> list[ItemT]:
        """All of one kind, in the order of creation.

        :raises NotFound: no such namespace.
        """
        ...

    def list_tags(self, namespace: str, query: TagQuery) -> list[MetadefTag]:
        """One page of tags.

        :raises NotFound: no such namespace, or the marker names no tag of it.
        """
        ...

    def get_item(self, namespace: str, kind: type[ItemT], name: str) -> ItemT:
        """:raises NotFound: no such namespace, or nothing of this kind and name in it."""
        ...

    def add_item(self, namespace: str, item: ItemT) -> ItemT:
        """Store a new one and return it with its times.

        :raises NotFound: no such namespace.
        :raises Duplicate: the name is taken.
        """
        ...

    def add_tags(self, namespace: str, names: Sequence[str], *, append: bool) -> list[MetadefTag]:
        """Store new tags, in place of all others unless ``append``. Returns them with their times.

        :raises NotFound: no such namespace.
        :raises Duplicate: a name comes twice, or is taken; nothing is changed.
        """
        ...

    def replace_item(self, namespace: str, name: str, item: ItemT) -> tuple[ItemT, ItemT]:
        """Give the one of this name all fields of ``item``, its name too; times apart. Returns it before and after.

        :raises NotFound: no such namespace, or nothing of this kind and name in it.
        :raises Duplicate: the new name is taken.
        """
        ...

    def remove_item(self, namespace: str, kind: type[ItemT], name: str) -> ItemT:
        """Remove one and return it.

        :raises NotFound: no such namespace, or nothing of this kind and name in it.
        :raises Forbidden: it is there, and the namespace is protected.
        """
        ...

    def clear_items(self, namespace: str, kind: type[Item]) -> None:
        """Remove all of one kind; none is fine.

        :raises NotFound: no such namespace.
        :raises Forbidden: the namespace is protected.
        """
        ...


class MetadefDatabase(MetadefFiles, NamespaceDatabase, ItemDatabase, Protocol):
    """All that is kept of metadata definitions."""
