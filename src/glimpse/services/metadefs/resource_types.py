"""Resource types and their associations with namespaces (metadefs 5.5)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.metadef import ResourceType, ResourceTypeAssociation
from glimpse.services.deps import Deps
from glimpse.services.metadefs import events
from glimpse.services.metadefs.access import allows, require, seen_namespace


def list_resource_types(deps: Deps, context: Context) -> list[ResourceType]:
    """Return all resource types, including those without associations.

    :raises NotFound: policy, for a caller who may see no namespace at all.
    :raises Forbidden: policy ``list_metadef_resource_types``.
    """
    require(deps, context, "list_metadef_resource_types")
    return deps.metadefs.list_resource_types()


def list_associations(deps: Deps, context: Context, namespace: str) -> list[ResourceTypeAssociation]:
    """Return the resource types of a namespace.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy ``list_metadef_resource_types``.
    """
    found = seen_namespace(deps, context, namespace, "list_metadef_resource_types")
    # the rule for a single type has the same target for all of them
    if not allows(deps, context, "get_metadef_resource_type", found):
        return []
    return deps.metadefs.list_associations(found.namespace)


def associate(
    deps: Deps, context: Context, namespace: str, association: ResourceTypeAssociation
) -> ResourceTypeAssociation:
    """Associate a resource type with a namespace; the type is created if it does not exist.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy ``add_metadef_resource_type_association``.
    :raises Duplicate: they are already associated.
    """
    found = seen_namespace(deps, context, namespace, "add_metadef_resource_type_association")
    added = deps.metadefs.add_association(found.namespace, association)
    if deps.notifier is not None:
        events.association_changed(deps.notifier, "create", found.namespace, added)
    return added


def dissociate(deps: Deps, context: Context, namespace: str, resource_type: str) -> None:
    """Remove an association; the resource type stays.

    :raises NotFound: unknown or invisible namespace, or it is not associated.
    :raises Forbidden: policy ``remove_metadef_resource_type_association``, or the namespace is protected.
    """
    found = seen_namespace(deps, context, namespace, "remove_metadef_resource_type_association")
    removed = deps.metadefs.remove_association(found.namespace, resource_type)
    if deps.notifier is not None:
        events.association_changed(deps.notifier, "delete", found.namespace, removed)
