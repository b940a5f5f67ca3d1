"""Creation of tags, one by its URL or many at once (metadefs 5.4 and 9)."""

from __future__ import annotations

from collections.abc import Sequence

from glimpse.context import Context
from glimpse.domain.metadef import NAME_LENGTH, MetadefTag
from glimpse.errors import Invalid
from glimpse.services.deps import Deps
from glimpse.services.metadefs import events
from glimpse.services.metadefs.access import require, seen_namespace


def add_tag(deps: Deps, context: Context, namespace: str, name: str) -> MetadefTag:
    """Create one tag. The length of its name is checked before policy (metadefs 2.2).

    :raises NotFound: unknown or invisible namespace.
    :raises Invalid: the name is too long.
    :raises Forbidden: policy ``add_metadef_tag``.
    :raises Duplicate: the tag already exists.
    """
    found = seen_namespace(deps, context, namespace)
    if len(name) > NAME_LENGTH:
        raise Invalid(f"The name of the tag is longer than {NAME_LENGTH} characters.")
    require(deps, context, "add_metadef_tag", found)
    added = deps.metadefs.add_item(found.namespace, MetadefTag(name=name))
    if deps.notifier is not None:
        events.item_changed(deps.notifier, "create", found.namespace, added)
    return added


def add_tags(deps: Deps, context: Context, namespace: str, names: Sequence[str], append: bool) -> list[MetadefTag]:
    """Create tags, replacing all others unless ``append``. Without names nothing changes, in either mode.

    :raises NotFound: unknown or invisible namespace.
    :raises Forbidden: policy ``add_metadef_tags``.
    :raises Duplicate: a name is repeated or in use; nothing is changed.
    """
    found = seen_namespace(deps, context, namespace, "add_metadef_tags")
    if not names:
        return []
    added = deps.metadefs.add_tags(found.namespace, names, append=append)
    if deps.notifier is not None:
        events.items_created(deps.notifier, found.namespace, added)
    return added
