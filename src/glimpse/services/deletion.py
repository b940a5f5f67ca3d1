"""Deleting an image (images-api 3.6; docs/adr/0016)."""

from __future__ import annotations

import logging
from datetime import datetime

from glimpse.context import Context
from glimpse.db.base import Database
from glimpse.domain.image import Image
from glimpse.domain.job import JobChange, JobStatus
from glimpse.domain.job_kinds import IMAGE_DELETION, NoInput
from glimpse.domain.properties import IMPORT_LOCK
from glimpse.domain.status import Status
from glimpse.errors import (
    Conflict,
    Forbidden,
    GlimpseError,
    Invalid,
    LeaseLost,
    NodeFailed,
    NodeUnreachable,
    NotFound,
    Refused,
    Unavailable,
)
from glimpse.jobs.steps.image_deletion import delete_claimed
from glimpse.notify import events
from glimpse.services.deps import Deps, viewer_of
from glimpse.services.stage_forwarding import NodeAnswer, Passage

LOG = logging.getLogger(__name__)


def delete_image(deps: Deps, context: Context, image_id: str, passage: Passage) -> NodeAnswer | None:
    """Delete the copies of an image from its stores, then its record, then what is staged for it.

    If another node has its staged data, that node is asked to do this, and its answer is returned. Without an answer
    the image is deleted here; the clean-up of that node removes the data.

    A job covers the time between, so if the process dies, another one finishes the deletion. A copy whose store is
    unavailable, or not configured in this process, is removed later by a separate job.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``delete_image``, or the image is protected, or a store does not allow the deletion
        (the image is kept as with DataInUse).
    :raises Conflict: the image is being deleted, or has changed.
    :raises Busy: too many requests wait for other nodes.
    :raises Unavailable: another process took the deletion over and has not finished it yet.
    :raises DataInUse: a store refuses. The message lists the copies that are already deleted; if there are none, the
        image is unchanged. The deletion is not retried.
    """
    database = deps.database
    image = database.get_image(image_id, viewer_of(context))
    deps.policy.require_image(context, "delete_image", image)
    if image.protected:
        raise Forbidden(f"Image {image.id} is protected and cannot be deleted.")
    node = deps.nodes.busy_with(image, passage)
    if node is None:
        _delete_here(deps, context, image)
        return None
    try:
        return deps.nodes.send("DELETE", node, f"/v2/images/{image.id}", passage)
    except (NodeUnreachable, NodeFailed) as error:
        LOG.warning("Image %s is deleted without the node %s, which has its staged data: %s", image.id, node, error)
    try:
        _delete_here(deps, context, image)
    except NotFound:
        LOG.info("Image %s was deleted by the node %s, whose answer was lost", image.id, node)
    return None


def _delete_here(deps: Deps, context: Context, image: Image) -> None:
    database = deps.database
    if not image.locations:
        _tell(deps, image, database.delete_without_data(image.id))
        _stop_import(deps, image)
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
    _stop_import(deps, image)
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


def _stop_import(deps: Deps, image: Image) -> None:
    """Cancel the job that works on a deleted image, so that any process cleans up.

    Otherwise it would wait for the node with the staged data, or for the stores that it needs.
    """
    holder = image.properties.get(IMPORT_LOCK)
    if holder is None:
        return
    try:
        deps.database.cancel_job(holder)
    except NotFound:
        LOG.info("The import %s of deleted image %s is not one of this service", holder, image.id)
    except Unavailable as error:
        LOG.warning("The import %s of deleted image %s could not be cancelled: %s", holder, image.id, error)
    else:
        deps.jobs.wakeup.set()


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
