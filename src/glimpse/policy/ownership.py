"""What ownership decides besides the rules while ``enforce_new_defaults`` is off (spec 01, section 8.3)."""

from __future__ import annotations

from glimpse.context import Context

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


def ownership_allows(context: Context, rule: str, owner: object) -> bool:
    """Whether ``owner`` of the image, existing or to be created, lets the caller do what ``rule`` guards."""
    if context.is_admin:
        return True
    if rule in _OWNER_ONLY:
        return owner is not None and owner == context.project_id
    if rule == "add_image":
        return owner == context.project_id
    if rule == "modify_member":
        return owner != context.project_id
    return True
