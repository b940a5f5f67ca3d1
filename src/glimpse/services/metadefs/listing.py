"""Lists of a namespace's content, and properties by their prefixed name (metadefs 6.2 to 8)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.metadef import MetadefObject, MetadefProperty, MetadefTag, TagQuery
from glimpse.errors import NotFound
from glimpse.services.deps import Deps
from glimpse.services.metadefs.access import allows, seen_namespace
from glimpse.services.metadefs.items import show_item


def list_properties(deps: Deps, context: Context, namespace: str) -> list[MetadefProperty]:
    """Return all properties.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy ``get_metadef_properties``.
    """
    found = seen_namespace(deps, context, namespace, "get_metadef_properties")
    return deps.metadefs.list_items(found.namespace, MetadefProperty)


def list_objects(deps: Deps, context: Context, namespace: str) -> list[MetadefObject]:
    """Return all objects.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy ``get_metadef_objects``.
    """
    found = seen_namespace(deps, context, namespace, "get_metadef_objects")
    # the rule for a single object has the same target for all of them
    if not allows(deps, context, "get_metadef_object", found):
        return []
    return deps.metadefs.list_items(found.namespace, MetadefObject)


def list_tags(deps: Deps, context: Context, namespace: str, query: TagQuery) -> list[MetadefTag]:
    """Return one page of tags.

    :raises NotFound: unknown or invisible namespace, or the marker does not refer to one of its tags.
    :raises Forbidden: policy ``get_metadef_tags``.
    """
    found = seen_namespace(deps, context, namespace, "get_metadef_tags")
    return deps.metadefs.list_tags(found.namespace, query)


def show_property(deps: Deps, context: Context, namespace: str, name: str, resource_type: str) -> MetadefProperty:
    """Return the property with the name ``name`` on a resource type; with an empty type, ``name`` has no prefix.

    :raises NotFound: unknown or invisible namespace, none of this name, or the type is not associated with a prefix
        that ``name`` begins with.
    :raises Forbidden: policies ``get_metadef_property`` and ``get_metadef_resource_type``.
    """
    if not resource_type:
        return show_item(deps, context, namespace, MetadefProperty, name)
    found = seen_namespace(deps, context, namespace, "get_metadef_property", "get_metadef_resource_type")
    associations = deps.metadefs.list_associations(found.namespace)
    prefix = next((one.prefix for one in associations if one.name == resource_type), None)
    if not prefix or not name.startswith(prefix):
        raise NotFound(f"No property of {namespace} is called {name} on {resource_type}.")
    return deps.metadefs.get_item(found.namespace, MetadefProperty, name.removeprefix(prefix))
