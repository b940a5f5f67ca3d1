"""The input of rules: the caller's credentials and the target of the operation (images-api 8.1)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import Any, Final

from glimpse.context import Context
from glimpse.domain.clock import wire_time
from glimpse.domain.image import Image
from glimpse.domain.status import Visibility

# Ownership checks in addition to the rules: always for :data:`ALWAYS_OWNED`, and for more rules while
# ``enforce_new_defaults`` is off (images-api 8.3).

#: Only the project that owns an image or an administrator may do this, whatever the rule says.
ALWAYS_OWNED = frozenset({"deactivate", "reactivate"})

_OWNER_ONLY = frozenset(
    {
        "modify_image",
        "upload_image",
        "delete_image",
        "deactivate",
        "reactivate",
        "delete_image_location",
        "add_member",
        "delete_member",
    }
)


def owns(context: Context, owner: object) -> bool:
    """Tell whether the caller is an administrator or acts for the project ``owner``; an image with owner None has no
    project.
    """
    return context.is_admin or (owner is not None and owner == context.project_id)


def ownership_allows(context: Context, rule: str, owner: object) -> bool:
    """Tell whether the ``owner`` of an existing or new image allows the caller to do what ``rule`` protects."""
    if context.is_admin:
        return True
    if rule in _OWNER_ONLY:
        return owns(context, owner)
    if rule == "add_image":
        return owner == context.project_id
    if rule == "modify_member":
        return owner != context.project_id
    return True


Credentials = Mapping[str, Any]
Target = Mapping[str, object]

#: Marks an attribute that an image does not have, which differs from an attribute without a value.
ABSENT: Final = object()

#: Names that every image target has.
ALIASES = frozenset({"project_id", "owner", "visibility", "member_id"})

#: Attributes of the record under their own name. Locations are excluded, because they contain store credentials.
CORE = frozenset(Image.__struct_fields__) - {"properties", "locations", "membership"} - ALIASES

_SOURCES = {
    "project_id": ("owner",),
    "owner": ("owner",),
    "visibility": ("visibility",),
    "member_id": ("owner", "visibility"),
}


@lru_cache(maxsize=512)
def credentials_of(context: Context) -> Credentials:
    """Build the left sides of checks, once per context. ``tenant`` and ``user`` are for rules in old files."""
    return {
        "user_id": context.user_id,
        "user": context.user_id,
        "project_id": context.project_id,
        "tenant": context.project_id,
        "domain_id": context.domain_id,
        "system_scope": context.system_scope,
        "roles": sorted(context.roles),
        "service_roles": sorted(context.service_roles),
        "is_admin": context.is_admin,
        "read_only": context.read_only,
    }


def image_target(context: Context, image: Image, extra: frozenset[str] | None) -> dict[str, object]:
    """Build the right sides of checks for an image: the aliases, and those other names that are in ``extra`` (None:
    all).
    """
    owner = image.owner
    visibility = image.visibility
    project_id = context.project_id
    target: dict[str, object] = {
        "project_id": owner,
        "owner": owner,
        "visibility": visibility,
        "member_id": project_id if visibility == Visibility.SHARED and owner != project_id else None,
    }
    if extra is None:
        extra = CORE.union(image.properties).difference(ALIASES)
    for name in extra:
        if name in CORE:
            value: object = getattr(image, name)
            target[name] = wire_time(value) if isinstance(value, datetime) else value
        elif name in image.properties:
            target[name] = image.properties[name]
    return target


def likeness(names: frozenset[str]) -> Callable[[Image], Hashable]:
    """Return a function whose result is equal for images that a rule reading ``names`` cannot tell apart."""
    read = sorted({source for name in names & (ALIASES | CORE) for source in _SOURCES.get(name, (name,))})
    attributes: Callable[[Image], Hashable] = attrgetter(*read) if read else lambda _image: None
    properties = sorted(names - ALIASES - CORE)
    if not properties:
        return attributes
    return lambda image: (attributes(image), *map(image.properties.get, properties, repeat(ABSENT)))
