"""Images and their stores: deletion from one of them, and repair of old locations (imports-and-stores 4)."""

from __future__ import annotations

import logging

import msgspec

from glimpse.context import Context
from glimpse.domain.image import Image, Location
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Forbidden, NotFound, Unavailable
from glimpse.notify import events
from glimpse.services.deps import Deps, viewer_of
from glimpse.services.locations import remove_location

LOG = logging.getLogger(__name__)


def delete_from_store(deps: Deps, context: Context, store_id: str, image_id: str) -> None:
    """Remove the copy of an image that one store has; refusals come in the order of imports-and-stores 4.6.

    Of several locations in the store the first one goes. How, and what a crash leaves, is with :func:`remove_location`.

    :raises NotFound: there are no named stores, or no such image for the caller, or it has no data in the store.
    :raises Conflict: there is no such store, or the image is not active, or another removal from it is under way.
    :raises Forbidden: policies ``get_image_location`` and ``delete_image_location``, or it is the last location.
    :raises DataInUse: the store refuses; the image is as it was.
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


def with_stores_named(deps: Deps, image: Image) -> Image:
    """``image`` with the store of each location in its metadata, where a configured store serves it.

    Metadata that name no store are completed in the database. Those that name a store which is not enabled here stay:
    another site of the same database may have it (imports-and-stores 4.5).
    """
    weights = deps.stores.weights
    if all(_store_of(location) in weights for location in image.locations):
        return image
    return msgspec.structs.replace(image, locations=tuple(_named(deps, image, one) for one in image.locations))


def _store_of(location: Location) -> str | None:
    store = location.metadata.get("store")
    return store if isinstance(store, str) else None


def _named(deps: Deps, image: Image, location: Location) -> Location:
    found = deps.stores.serving(location)
    if found is None or _store_of(location) == found:
        return location
    if "store" not in location.metadata and location.id is not None:
        try:
            deps.database.name_location_store(image.id, location.id, found)
        except Unavailable:
            # whoever only reads must not suffer from a database that takes no writes
            LOG.warning("The store %s of location %s could not be recorded", found, location.id, exc_info=True)
    return msgspec.structs.replace(location, metadata={**location.metadata, "store": found})
