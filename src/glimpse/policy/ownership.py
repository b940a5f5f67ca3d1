"""Ownership checks in addition to the rules: always for :data:`ALWAYS_OWNED`, and for more rules while
``enforce_new_defaults`` is off (images-api 8.3).
"""

from __future__ import annotations

from glimpse.context import Context

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
