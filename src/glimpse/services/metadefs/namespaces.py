"""Namespaces: listed, shown, created, changed and removed (metadefs 5.1, 6.1 and 7)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.clock import now
from glimpse.domain.metadef import Namespace, NamespaceContent, NamespaceQuery
from glimpse.services.deps import Deps, viewer_of
from glimpse.services.metadefs import events
from glimpse.services.metadefs.access import allows, require, seen_namespace


def list_namespaces(deps: Deps, context: Context, query: NamespaceQuery) -> tuple[list[NamespaceContent], str | None]:
    """One page of namespaces with their associations, and the name of the last one when another page may follow.

    :raises NotFound: the marker names no namespace, or the caller may not even see the own project's ones.
    :raises Forbidden: policy, or the marker names a namespace that the caller does not see.
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
    """A namespace with all that is in it.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy for one of the parts.
    """
    namespace = seen_namespace(
        deps, context, name, "get_metadef_namespace", "list_metadef_resource_types", "get_metadef_objects",
        "get_metadef_properties", "get_metadef_tags",
    )  # fmt: skip
    return deps.metadefs.get_content(namespace.namespace)


def create_namespace(deps: Deps, context: Context, content: NamespaceContent) -> NamespaceContent:
    """Store a namespace with all its content, or nothing of it.

    :raises NotFound: policy, for a caller who may see no namespace at all.
    :raises Forbidden: policy for the namespace, or for one of the kinds of content.
    :raises Duplicate: the name is taken, or two parts of one kind have the same name.
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
    """Give a namespace all fields of ``namespace``; what is in it stays. Returns it before and after.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy ``modify_metadef_namespace``.
    :raises Duplicate: the new name is taken.
    """
    before = seen_namespace(deps, context, name, "modify_metadef_namespace")
    after = deps.metadefs.update_namespace(before.namespace, namespace)
    if deps.notifier is not None:
        events.namespace_changed(deps.notifier, "update", after, old=before.namespace)
    return before, after


def delete_namespace(deps: Deps, context: Context, name: str) -> None:
    """Remove a namespace with all that is in it; resource types stay.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy ``delete_metadef_namespace``, or it is protected.
    """
    namespace = seen_namespace(deps, context, name, "delete_metadef_namespace")
    deps.metadefs.delete_namespace(namespace.namespace)
    if deps.notifier is not None:
        events.namespace_changed(deps.notifier, "delete", namespace, deleted_at=now())
