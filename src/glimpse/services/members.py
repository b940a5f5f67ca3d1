"""Sharing images with projects (images-api 3.9).

All of these check ``get_image`` first: for a caller who may not see an image, it does not exist. Members are effective
only for images of visibility ``shared``.
"""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.image import Image, Member
from glimpse.domain.status import MemberStatus, Visibility
from glimpse.errors import Forbidden, NotFound
from glimpse.notify import events
from glimpse.services.deps import Deps, viewer_of


def list_members(deps: Deps, context: Context, image_id: str) -> list[Member]:
    """Return the members of an image: all for its own project and administrators, only their own entry for others.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``get_members``, or the image is not shared.
    """
    image = _shared_image(deps, context, image_id, "get_members")
    # the rule for a single entry has the same target for all entries
    if not deps.policy.allows_image(context, "get_member", image):
        return []
    return deps.database.list_members(image.id, viewer_of(context))


def show_member(deps: Deps, context: Context, image_id: str, member_id: str) -> Member:
    """One entry.

    :raises NotFound: unknown or invisible image, not shared, or an entry that the caller may not see.
    :raises Forbidden: policy ``get_member``.
    """
    image = _visible_image(deps, context, image_id)
    if image.visibility is not Visibility.SHARED:
        raise _no_member(image, member_id)
    deps.policy.require_image(context, "get_member", image)
    return _entry(deps, context, image, member_id)


def add_member(deps: Deps, context: Context, image_id: str, member_id: str) -> Member:
    """Share an image with a project; the project's existence is not checked.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``add_member``, or the image is not shared.
    :raises LimitExceeded: ``image_member_quota``, which is checked before existing members.
    :raises Duplicate: the project is already a member.
    """
    image = _shared_image(deps, context, image_id, "add_member")
    member = deps.database.add_member(image.id, member_id, maximum=deps.limits.image_member_quota)
    if deps.notifier is not None:
        events.member_changed(deps.notifier, "create", member)
    return member


def set_member_status(deps: Deps, context: Context, image_id: str, member_id: str, status: MemberStatus) -> Member:
    """Set a member's status to accepted, rejected or pending.

    :raises NotFound: unknown or invisible image, or an entry that the caller may not see.
    :raises Forbidden: policies ``get_member`` and ``modify_member``, or the image is not shared.
    """
    image = _shared_image(deps, context, image_id, "get_member", "modify_member")
    member = _entry(deps, context, image, member_id)
    member = deps.database.set_member_status(image.id, member.member_id, status)
    if deps.notifier is not None:
        events.member_changed(deps.notifier, "update", member)
    return member


def remove_member(deps: Deps, context: Context, image_id: str, member_id: str) -> None:
    """Stop sharing an image with a project, which can no longer see it.

    :raises NotFound: unknown or invisible image, or no such member.
    :raises Forbidden: policies ``get_member`` and ``delete_member``, or the image is not shared.
    """
    image = _shared_image(deps, context, image_id, "get_member", "delete_member")
    member = _entry(deps, context, image, member_id)
    member = deps.database.remove_member(image.id, member.member_id)
    if deps.notifier is not None:
        events.member_changed(deps.notifier, "delete", member, deleted_at=member.updated_at)


def _visible_image(deps: Deps, context: Context, image_id: str) -> Image:
    image = deps.database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "get_image", image)
    return image


def _shared_image(deps: Deps, context: Context, image_id: str, *rules: str) -> Image:
    image = _visible_image(deps, context, image_id)
    for rule in rules:
        deps.policy.require_image(context, rule, image)
    if image.visibility is not Visibility.SHARED:
        raise Forbidden(f"Image {image.id} is {image.visibility}; only a shared image has members.")
    return image


def _entry(deps: Deps, context: Context, image: Image, member_id: str) -> Member:
    found = deps.database.list_members(image.id, viewer_of(context), member_id=member_id)
    if not found:
        raise _no_member(image, member_id)
    return found[0]


def _no_member(image: Image, member_id: str) -> NotFound:
    return NotFound(f"Image {image.id} has no member {member_id}.")
