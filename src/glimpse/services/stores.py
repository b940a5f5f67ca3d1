"""Deletion of an image from one of its stores (imports-and-stores 4.6)."""

from __future__ import annotations

import msgspec

from glimpse.context import Context
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Forbidden, NotFound
from glimpse.notify import events
from glimpse.services.deps import Deps, viewer_of
from glimpse.services.locations import remove_location


def delete_from_store(deps: Deps, context: Context, store_id: str, image_id: str) -> None:
    """Delete an image from one store; checks are in the order of imports-and-stores 4.6.

    If the image has several locations in the store, the first one is removed, as described in :func:`remove_location`.

    :raises NotFound: there are no named stores, the image is unknown or invisible, or it has no data in the store.
    :raises Conflict: there is no such store, or the image is not active, or another removal is in progress.
    :raises Forbidden: policies ``get_image_location`` and ``delete_image_location``, or it is the last location.
    :raises DataInUse: the store refuses; the image is unchanged.
    """
    if not deps.stores.named:
        raise NotFound("The service has no named stores.")
    if store_id not in deps.stores.ids():
        raise Conflict(f"There is no store {store_id!r}.")
    image = deps.database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "get_image_location", image)
    deps.policy.require_image(context, "delete_image_location", image)
    if image.status is not Status.ACTIVE:
        raise Conflict(f"Image {image.id} is {image.status}; only an active image can be deleted from a store.")
    if len(image.locations) == 1:
        raise Forbidden(f"Image {image.id} has only one location; delete the image instead.")
    for location in image.locations:
        if deps.stores.serving(location) == store_id:
            updated_at = remove_location(deps, context, image, location)
            if deps.notifier is not None:
                events.image_updated(deps.notifier, msgspec.structs.replace(image, updated_at=updated_at))
            return
    raise NotFound(f"Image {image.id} has no data in store {store_id}.")
