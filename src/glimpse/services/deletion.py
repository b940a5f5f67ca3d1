"""Deleting an image (images-api 3.6)."""

from __future__ import annotations

from datetime import datetime

from glimpse.context import Context
from glimpse.domain.image import Image
from glimpse.errors import DataInUse, Forbidden
from glimpse.jobs.recovery import delete_data
from glimpse.notify import events
from glimpse.services.deps import Deps, viewer_of


def delete_image(deps: Deps, context: Context, image_id: str) -> None:
    """Delete the data of an image from its stores, then its record.

    A lease covers the time between, so that a deletion whose process dies is carried out by another.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``delete_image``, or the image is protected.
    :raises DataInUse: a store refuses; the image is unchanged.
    :raises StoreUnavailable: a store does not answer; the deletion is tried again later.
    """
    database = deps.database
    image = database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "delete_image", image)
    if image.protected:
        raise Forbidden(f"Image {image.id} is protected and cannot be deleted.")
    if not image.locations:
        _tell(deps, image, database.finish_delete(image.id, None))
        return
    with deps.leases.hold(image.id, "delete") as lease:
        database.begin_delete(image.id, lease, from_status=image.status)
        try:
            delete_data(deps.stores, image)
        except DataInUse:
            database.cancel_delete(lease)
            raise
        deleted_at = database.finish_delete(image.id, lease)
    _tell(deps, image, deleted_at)


def _tell(deps: Deps, image: Image, deleted_at: datetime) -> None:
    if deps.notifier is not None:
        events.image_deleted(deps.notifier, image, deleted_at)
