"""The clean-up of a staging area: what is staged for images that no longer exist (imports-and-stores 9.3).

Several processes and nodes may share the area, and each of them does this. What a live image or an unfinished job may
still need is kept. Data of images that the database does not know may be those of another installation that shares the
directory, so they are removed only when they are old.
"""

from __future__ import annotations

import logging
import time

from glimpse.db.base import Database
from glimpse.domain.job import ENDED
from glimpse.domain.status import Status
from glimpse.errors import NotFound
from glimpse.staging.base import StagingArea

LOG = logging.getLogger(__name__)

#: Seconds between clean-ups.
CLEAN_UP_INTERVAL = 600.0
#: Seconds without a change after which unfinished data are looked at: a writer that is alive has written by then, or
#: its client has timed out.
LEFT_ALONE = 600.0

_ID_DIGITS = 32


def clean_up_staging(
    database: Database, staging: StagingArea, unknown_kept: float, left_alone: float = LEFT_ALONE
) -> int:
    """Remove what is staged for images that are deleted, and unfinished data of ended jobs that have not changed for
    ``left_alone`` seconds; of images that do not exist only what has not changed for ``unknown_kept`` seconds.

    Returns how many images and attempts had something. An image has its record before anything is staged for it, and a
    job before it writes.

    :raises Unavailable: the database or the staging area; the next clean-up tries again.
    """
    removed = 0
    for image_id, changed_at in staging.images():
        image = database.get_any_image(image_id)
        gone = time.time() - changed_at >= unknown_kept if image is None else image.status is Status.DELETED
        if gone and staging.remove(image_id):
            removed += 1
    for image_id, attempt, changed_at in staging.unfinished():
        is_known = database.get_any_image(image_id) is not None
        idle = time.time() - changed_at >= (left_alone if is_known else unknown_kept)
        if idle and not _is_alive(database, attempt) and staging.sweep(image_id, attempt):
            removed += 1
    if removed:
        LOG.info("The staging area had data of %d images or jobs that are gone; they are removed", removed)
    return removed


def _is_alive(database: Database, attempt: str) -> bool:
    """Tell whether the job that wrote the data of an attempt is unfinished.

    The name of an attempt begins with the id of its job, without dashes.
    """
    plain = attempt[:_ID_DIGITS]
    for job_id in (plain, "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))):
        try:
            return database.get_job(job_id).status not in ENDED
        except NotFound:
            continue
    return False
