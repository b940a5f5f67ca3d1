"""Metadata definitions: what keys on images, volumes, flavors and aggregates mean (metadefs 1).

These records are at once the rows of the tables and the documents of definition files: a namespace with everything
in it is read, written, loaded and exported as a whole. Schemas stay JSON objects as clients wrote them.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from glimpse.domain.listing import SortKey

#: Longest name of anything here, prefix and target, in characters.
NAME_LENGTH = 80

#: Longest ``description`` of a namespace that the API takes, in characters; files may have more.
DESCRIPTION_LENGTH = 500

#: Longest ``owner``, in characters.
OWNER_LENGTH = 255

#: Columns that namespaces and tags can be ordered by (metadefs 6.1 and 6.3).
NAMESPACE_SORT_KEYS = frozenset(
    {
        "id", "namespace", "display_name", "description", "visibility", "protected", "owner", "created_at",
        "updated_at",
    }
)  # fmt: skip
TAG_SORT_KEYS = frozenset({"id", "namespace_id", "name", "created_at", "updated_at"})


class ResourceTypeAssociation(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of resource that a namespace is about; ``prefix`` is put before the names of its properties there."""

    name: str
    prefix: str | None = None
    properties_target: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class ResourceType(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of resource, for instance ``OS::Glance::Image``."""

    name: str
    protected: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None


class MetadefProperty(msgspec.Struct, frozen=True, kw_only=True):
    """One property; ``schema`` is its JSON definition.

    Definitions written by Glance's property calls have the key ``name`` too (metadefs 14, quirk 12); ``name`` here
    is the one that counts.
    """

    name: str
    schema: dict[str, Any]
    created_at: datetime | None = None
    updated_at: datetime | None = None


class MetadefObject(msgspec.Struct, frozen=True, kw_only=True):
    """A group of properties; ``properties`` maps their names to definitions."""

    name: str
    description: str | None = None
    required: tuple[str, ...] = ()
    properties: dict[str, Any] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class MetadefTag(msgspec.Struct, frozen=True, kw_only=True):
    """One tag."""

    name: str
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace without its content. ``visibility`` is ``public``, ``private``, or None in old rows."""

    namespace: str
    display_name: str | None = None
    description: str | None = None
    visibility: str | None = "private"
    protected: bool = False
    owner: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


#: What a namespace holds under names of its own: one class for each of the three tables.
Item = MetadefProperty | MetadefObject | MetadefTag
ItemT = TypeVar("ItemT", MetadefProperty, MetadefObject, MetadefTag)


class NamespaceContent(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace and all that is in it: the unit of nested creation, of definition files and of export."""

    namespace: Namespace
    associations: tuple[ResourceTypeAssociation, ...] = ()
    properties: tuple[MetadefProperty, ...] = ()
    objects: tuple[MetadefObject, ...] = ()
    tags: tuple[MetadefTag, ...] = ()


class LoadMode(StrEnum):
    """What loading does with a namespace that exists (configuration 13.1.1)."""

    SKIP = "skip"
    MERGE = "merge"
    PREFER_NEW = "prefer-new"
    OVERWRITE = "overwrite"


class NamespaceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of namespaces (metadefs 6.1).

    ``visibility`` is compared as it is, so the empty text matches none; ``resource_types`` are names any of which must
    be associated. ``order`` is total. ``marker`` is the name of the last namespace of the page before.
    """

    visibility: str | None = None
    resource_types: tuple[str, ...] | None = None
    order: tuple[SortKey, ...] = (SortKey("created_at"), SortKey("id"))
    marker: str | None = None
    limit: int = 25


class TagQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the tags of a namespace (metadefs 6.3); ``limit`` None means all."""

    order: tuple[SortKey, ...] = (SortKey("created_at"), SortKey("id"))
    marker: str | None = None
    limit: int | None = None
