"""Use cases of namespaces: list, show, create, change, remove (metadefs 5.1, 6.1 and 7)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.clock import now
from glimpse.domain.metadef import Namespace, NamespaceContent, NamespaceQuery
from glimpse.services.deps import Deps, viewer_of
from glimpse.services.metadefs import events
from glimpse.services.metadefs.access import allows, require, seen_namespace


def list_namespaces(deps: Deps, context: Context, query: NamespaceQuery) -> tuple[list[NamespaceContent], str | None]:
    """Return one page of namespaces with their associations, and the name of the last one if another page may follow.

    :raises NotFound: the marker does not refer to a namespace, or the caller may not even see those of the own project.
    :raises Forbidden: policy, or the marker refers to a namespace that the caller may not see.
    """
    require(deps, context, "get_metadef_namespaces")
    found = deps.metadefs.list_namespaces(query, viewer_of(context))
    verdicts: dict[tuple[str | None, str | None], bool] = {}
    allowed: list[NamespaceContent] = []
    for content in found:
        namespace = content.namespace
        likeness = (namespace.owner, namespace.visibility)
        if likeness not in verdicts:
            verdicts[likeness] = allows(deps, context, "get_metadef_namespace", namespace)
            if verdicts[likeness]:
                require(deps, context, "list_metadef_resource_types", namespace)
        if verdicts[likeness]:
            allowed.append(content)
    full = 0 < query.limit == len(found)
    return allowed, found[-1].namespace.namespace if full and allowed else None


def show_namespace(deps: Deps, context: Context, name: str) -> NamespaceContent:
    """Return a namespace with its content.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy for one kind of content.
    """
    namespace = seen_namespace(
        deps, context, name, "get_metadef_namespace", "list_metadef_resource_types", "get_metadef_objects",
        "get_metadef_properties", "get_metadef_tags",
    )  # fmt: skip
    return deps.metadefs.get_content(namespace.namespace)


def create_namespace(deps: Deps, context: Context, content: NamespaceContent) -> NamespaceContent:
    """Create a namespace with all its content, or nothing.

    :raises NotFound: policy, for a caller who may see no namespace at all.
    :raises Forbidden: policy for the namespace, or for one of the kinds of content.
    :raises Duplicate: the name is in use, or two items of one kind have the same name.
    """
    require(deps, context, "add_metadef_namespace")
    for rule, parts in (
        ("add_metadef_resource_type_association", content.associations),
        ("add_metadef_object", content.objects),
        ("add_metadef_tag", content.tags),
        ("add_metadef_property", content.properties),
    ):
        if parts:
            require(deps, context, rule)
    created = deps.metadefs.create_namespace(content)
    if deps.notifier is not None:
        events.content_created(deps.notifier, created)
    return created


def update_namespace(deps: Deps, context: Context, name: str, namespace: Namespace) -> tuple[Namespace, Namespace]:
    """Replace all fields of a namespace, but not its content; return it before and after.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy ``modify_metadef_namespace``.
    :raises Duplicate: the new name is in use.
    """
    before = seen_namespace(deps, context, name, "modify_metadef_namespace")
    after = deps.metadefs.update_namespace(before.namespace, namespace)
    if deps.notifier is not None:
        events.namespace_changed(deps.notifier, "update", after, old=before.namespace)
    return before, after


def delete_namespace(deps: Deps, context: Context, name: str) -> None:
    """Remove a namespace with its content; resource types stay.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy ``delete_metadef_namespace``, or it is protected.
    """
    namespace = seen_namespace(deps, context, name, "delete_metadef_namespace")
    deps.metadefs.delete_namespace(namespace.namespace)
    if deps.notifier is not None:
        events.namespace_changed(deps.notifier, "delete", namespace, deleted_at=now())
