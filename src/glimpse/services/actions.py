"""Deactivating and reactivating images (images-api 3.8)."""

from __future__ import annotations

from glimpse.context import Context
from glimpse.domain.image import ImageChange
from glimpse.domain.status import Status
from glimpse.domain.update import changed
from glimpse.errors import Conflict, Forbidden
from glimpse.notify import events
from glimpse.services.deps import Deps, viewer_of

#: Messages for a wrong status, by the new status of the image.
_WRONG_STATUS = {
    Status.DEACTIVATED: "Image {id} is {status}; only an active image can be deactivated.",
    Status.ACTIVE: "Image {id} is {status}; only a deactivated image can be reactivated.",
}


def deactivate_image(deps: Deps, context: Context, image_id: str) -> None:
    """Let only administrators download an active image; no effect if it is already deactivated.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``deactivate``, an image of another project, or any other status.
    """
    _switch(deps, context, image_id, "deactivate", Status.ACTIVE, Status.DEACTIVATED)


def reactivate_image(deps: Deps, context: Context, image_id: str) -> None:
    """Undo a deactivation; no effect on an active image.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``reactivate``, an image of another project, or any other status.
    """
    _switch(deps, context, image_id, "reactivate", Status.DEACTIVATED, Status.ACTIVE)


def _switch(deps: Deps, context: Context, image_id: str, rule: str, old: Status, new: Status) -> None:
    image = deps.database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, rule, image)
    if image.status is new:
        return
    refusal = Forbidden(_WRONG_STATUS[new].format(id=image.id, status=image.status))
    if image.status is not old:
        raise refusal
    change = ImageChange(columns={"status": new}, from_status=(old,))
    try:
        updated_at = deps.database.update_image(image.id, change)
    except Conflict:
        # another request changed the status between the read and the update
        raise refusal from None
    if deps.notifier is not None:
        events.image_updated(deps.notifier, changed(image, change, updated_at))
