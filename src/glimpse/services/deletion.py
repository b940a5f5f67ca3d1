"""Deleting an image (images-api 3.6; docs/adr/0016)."""

from __future__ import annotations

import logging
from datetime import datetime

from glimpse.context import Context
from glimpse.db.base import Database
from glimpse.domain.image import Image
from glimpse.domain.job import JobChange, JobStatus
from glimpse.domain.job_kinds import IMAGE_DELETION, NoInput
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Forbidden, GlimpseError, Invalid, LeaseLost, NotFound, Refused, Unavailable
from glimpse.jobs.steps.image_deletion import delete_claimed
from glimpse.notify import events
from glimpse.services.deps import Deps, viewer_of

LOG = logging.getLogger(__name__)


def delete_image(deps: Deps, context: Context, image_id: str) -> None:
    """Delete the copies of an image from its stores, then its record, then what is staged for it.

    A job covers the time between, so if the process dies, another one finishes the deletion. A copy whose store is
    unavailable, or not configured in this process, is removed later by a separate job.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``delete_image``, or the image is protected, or a store does not allow the deletion
        (the image is kept as with DataInUse).
    :raises Conflict: the image is being deleted, or has changed.
    :raises Unavailable: another process took the deletion over and has not finished it yet.
    :raises DataInUse: a store refuses. The message lists the copies that are already deleted; if there are none, the
        image is unchanged. The deletion is not retried.
    """
    database = deps.database
    image = database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "delete_image", image)
    if image.protected:
        raise Forbidden(f"Image {image.id} is protected and cannot be deleted.")
    if not image.locations:
        _tell(deps, image, database.delete_without_data(image.id))
        _unstage(deps, image.id)
        return
    with deps.heartbeat.attend(context, IMAGE_DELETION, NoInput(), image_id=image.id) as run:
        locations = database.begin_deletion(run.job, deps.heartbeat.lifetime, from_status=image.status)
        deps.heartbeat.begun(run)
        try:
            deleted_at = delete_claimed(database, deps.stores, run, locations)
        except (Conflict, Refused, Invalid) as error:
            database.save_job(run.job, JobChange(status=JobStatus.FAILED, message=str(error)))
            raise
        except (LeaseLost, NotFound) as error:
            _require_carried_out(database, image.id, error)
            return
    # there may be copies that wait for a store
    deps.jobs.wakeup.set()
    _tell(deps, image, deleted_at)
    _unstage(deps, image.id)


def _require_carried_out(database: Database, image_id: str, error: GlimpseError) -> None:
    """The process that took the deletion over tells of it when it is done.

    :raises Unavailable: it is not done yet.
    """
    image = database.get_any_image(image_id)
    if image is not None and image.status is not Status.DELETED:
        raise Unavailable(
            f"The deletion of image {image_id} took too long and was taken over by another process, which carries it "
            "out."
        ) from error


def _unstage(deps: Deps, image_id: str) -> None:
    """Remove what is staged for a deleted image, also while it is being staged: that fails then."""
    try:
        deps.staging.remove(image_id)
    except (Refused, Unavailable) as error:
        # the image is deleted, so the clean-up removes the staged data
        LOG.warning(
            "The staged data of deleted image %s could not be removed; the next clean-up tries again: %s",
            image_id,
            error,
        )


def _tell(deps: Deps, image: Image, deleted_at: datetime) -> None:
    if deps.notifier is not None:
        events.image_deleted(deps.notifier, image, deleted_at)
