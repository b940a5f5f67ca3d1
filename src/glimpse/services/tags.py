"""Single tags of an image (images-api 3.7)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.limits import check_tag
from glimpse.domain.update import changed
from glimpse.errors import Invalid, LimitExceeded, NotFound
from glimpse.notify import events
from glimpse.services.deps import Deps, viewer_of


def add_tag(deps: Deps, context: Context, image_id: str, tag: str) -> None:
    """Add a tag to an image; no effect if the image already has it.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``modify_image``.
    :raises Invalid: the tag is longer than 255 characters, cannot be stored, or cannot be in a URL.
    :raises LimitExceeded: ``image_tag_quota``.
    """
    if len(tag) > 255:
        raise Invalid(f"A tag may have at most 255 characters; this one has {len(tag)}.")
    check_tag(tag)
    image = deps.database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "modify_image", image)
    quota = deps.limits.image_tag_quota
    if tag not in image.tags and 0 <= quota < len(image.tags) + 1:
        raise LimitExceeded(f"An image may have at most {quota} tags; this would be tag number {len(image.tags) + 1}.")
    _save(deps, image, ImageChange(add_tags=(tag,)))


def remove_tag(deps: Deps, context: Context, image_id: str, tag: str) -> None:
    """Remove a tag from an image.

    Also finds a tag that Glance stored as UTF-8 bytes decoded as Latin-1.

    :raises NotFound: unknown or invisible image, or the image does not have the tag.
    :raises Forbidden: policy ``modify_image``.
    """
    image = deps.database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "modify_image", image)
    for stored in (tag, tag.encode().decode("latin-1")):
        if stored in image.tags:
            _save(deps, image, ImageChange(drop_tags=(stored,)))
            return
    raise NotFound(f"Image {image.id} has no tag {tag}.")


def _save(deps: Deps, image: Image, change: ImageChange) -> None:
    updated_at = deps.database.update_image(image.id, change)
    if deps.notifier is not None:
        events.image_updated(deps.notifier, changed(image, change, updated_at))
