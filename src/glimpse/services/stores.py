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


def with_stores_named(deps: Deps, image: Image) -> Image:
    """Return ``image`` with the serving store in the metadata of each location, if a configured store serves it.

    Metadata without a store are completed in the database. A store that is not enabled here is kept: another site with
    the same database may have it (imports-and-stores 4.5).
    """
    weights = deps.stores.weights
    if all(_store_of(location) in weights for location in image.locations):
        return image
    return msgspec.structs.replace(image, locations=tuple(_named(deps, image, one) for one in image.locations))


def _store_of(location: Location) -> str | None:
    store = location.metadata.get("store")
    return store if isinstance(store, str) else None


def _named(deps: Deps, image: Image, location: Location) -> Location:
    found = deps.stores.owner(location)
    if found is None or _store_of(location) == found:
        return location
    if "store" not in location.metadata and location.id is not None:
        try:
            deps.database.name_location_store(image.id, location.id, found)
        except Unavailable:
            # reading must work while the database is read-only
            LOG.warning("The store %s of location %s could not be recorded", found, location.id, exc_info=True)
    return msgspec.structs.replace(location, metadata={**location.metadata, "store": found})
