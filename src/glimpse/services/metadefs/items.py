"""Common use cases of properties, objects and tags of a namespace (metadefs 5.2 to 5.4)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from glimpse.context import Context
from glimpse.domain.metadef import Item, ItemT, MetadefObject, MetadefProperty, MetadefTag
from glimpse.services.deps import Deps
from glimpse.services.metadefs import events
from glimpse.services.metadefs.access import seen_namespace


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The policy rules of one kind of item, and the event for removing all of them."""

    list: str
    show: str
    add: str
    change: str
    remove: str
    clear: tuple[str, ...] = ("delete_metadef_namespace",)
    cleared: str


RULES: Mapping[type[Item], Rules] = {
    MetadefProperty: Rules(
        list="get_metadef_properties", show="get_metadef_property", add="add_metadef_property",
        change="modify_metadef_property", remove="remove_metadef_property", cleared="delete_properties",
    ),
    MetadefObject: Rules(
        list="get_metadef_objects", show="get_metadef_object", add="add_metadef_object",
        change="modify_metadef_object", remove="delete_metadef_object", cleared="delete_objects",
    ),
    MetadefTag: Rules(
        list="get_metadef_tags", show="get_metadef_tag", add="add_metadef_tag", change="modify_metadef_tag",
        remove="delete_metadef_tag", clear=("delete_metadef_namespace", "delete_metadef_tags"),
        cleared="delete_tags",
    ),
}  # fmt: skip


def show_item(deps: Deps, context: Context, namespace: str, kind: type[ItemT], name: str) -> ItemT:
    """Return one item of a namespace.

    :raises NotFound: unknown or invisible namespace, or it has none of this name.
    :raises Forbidden: policy.
    """
    found = seen_namespace(deps, context, namespace, RULES[kind].show)
    return deps.metadefs.get_item(found.namespace, kind, name)


def add_item(deps: Deps, context: Context, namespace: str, item: ItemT) -> ItemT:
    """Create an item.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy.
    :raises Duplicate: the name is in use.
    """
    found = seen_namespace(deps, context, namespace, RULES[type(item)].add)
    added = deps.metadefs.add_item(found.namespace, item)
    if deps.notifier is not None:
        events.item_changed(deps.notifier, "create", found.namespace, added)
    return added


def replace_item(deps: Deps, context: Context, namespace: str, name: str, item: ItemT) -> tuple[ItemT, ItemT]:
    """Replace all fields of an item, including its name; return it before and after.

    :raises NotFound: unknown or invisible namespace, or it has none of this name.
    :raises Forbidden: policy.
    :raises Duplicate: the new name is in use.
    """
    found = seen_namespace(deps, context, namespace, RULES[type(item)].change)
    before, after = deps.metadefs.replace_item(found.namespace, name, item)
    if deps.notifier is not None:
        events.item_changed(deps.notifier, "update", found.namespace, after, old=before.name)
    return before, after


def remove_item(deps: Deps, context: Context, namespace: str, kind: type[ItemT], name: str) -> None:
    """Remove an item.

    :raises NotFound: unknown or invisible namespace, or it has none of this name.
    :raises Forbidden: policy, or the namespace is protected.
    """
    found = seen_namespace(deps, context, namespace, RULES[kind].remove)
    removed = deps.metadefs.remove_item(found.namespace, kind, name)
    if deps.notifier is not None:
        events.item_changed(deps.notifier, "delete", found.namespace, removed)


def clear_items(deps: Deps, context: Context, namespace: str, kind: type[Item]) -> None:
    """Remove all items of one kind, even if there are none.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy, or the namespace is protected.
    """
    rules = RULES[kind]
    found = seen_namespace(deps, context, namespace, *rules.clear)
    deps.metadefs.clear_items(found.namespace, kind)
    if deps.notifier is not None:
        events.namespace_changed(deps.notifier, rules.cleared, found)
