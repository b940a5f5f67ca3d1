"""Metadata definitions: the meaning of keys on images, volumes, flavors and aggregates (metadefs 1).

These records serve both as table rows and as documents of definition files: a namespace with its content is read,
written, loaded and exported as a whole. Schemas stay JSON objects as clients wrote them.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from glimpse.domain.listing import SortKey

#: Maximum length of names, prefixes and targets, in characters.
NAME_LENGTH = 80

#: Maximum length of a namespace's ``description`` in the API, in characters; files may have longer ones.
DESCRIPTION_LENGTH = 500

#: Maximum length of ``owner``, in characters.
OWNER_LENGTH = 255

#: Sort keys of namespaces and tags (metadefs 6.1 and 6.3).
NAMESPACE_SORT_KEYS = frozenset(
    {
        "id", "namespace", "display_name", "description", "visibility", "protected", "owner", "created_at",
        "updated_at",
    }
)  # fmt: skip
TAG_SORT_KEYS = frozenset({"id", "namespace_id", "name", "created_at", "updated_at"})


class ResourceTypeAssociation(msgspec.Struct, frozen=True, kw_only=True):
    """A resource type that a namespace applies to; ``prefix`` is put before its property names there."""

    name: str
    prefix: str | None = None
    properties_target: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class ResourceType(msgspec.Struct, frozen=True, kw_only=True):
    """A resource type, for instance ``OS::Glance::Image``."""

    name: str
    protected: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None


class MetadefProperty(msgspec.Struct, frozen=True, kw_only=True):
    """One property; ``schema`` is its JSON definition.

    Definitions written by Glance's property calls also have the key ``name`` (metadefs 14, quirk 12); this ``name``
    takes precedence.
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


#: Named items of a namespace: one class for each of the three tables.
Item = MetadefProperty | MetadefObject | MetadefTag
ItemT = TypeVar("ItemT", MetadefProperty, MetadefObject, MetadefTag)


class NamespaceContent(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace with its content: the unit of nested creation, definition files and export."""

    namespace: Namespace
    associations: tuple[ResourceTypeAssociation, ...] = ()
    properties: tuple[MetadefProperty, ...] = ()
    objects: tuple[MetadefObject, ...] = ()
    tags: tuple[MetadefTag, ...] = ()


class LoadMode(StrEnum):
    """How loading treats an existing namespace (configuration 13.1.1)."""

    SKIP = "skip"
    MERGE = "merge"
    PREFER_NEW = "prefer-new"
    OVERWRITE = "overwrite"


class NamespaceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of namespaces (metadefs 6.1).

    ``visibility`` is compared literally, so an empty string matches nothing; any of ``resource_types`` must be
    associated. ``order`` is total. ``marker`` is the name of the last namespace of the previous page.
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
