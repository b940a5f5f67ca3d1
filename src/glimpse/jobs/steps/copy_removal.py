"""Kind ``copy_removal``: one copy of an image leaves its store.

The image has the location no more, or is deleted. A request that takes a location from an image does the work itself
(``services/locations.py``). When the store does not work, or is another site's, the job waits for a process that can.
"""

from __future__ import annotations

from glimpse.db.base import Database
from glimpse.domain.image import Location
from glimpse.domain.job import JobChange, JobStatus
from glimpse.domain.job_kinds import COPY_REMOVAL, CopyRemovalInput, input_of
from glimpse.errors import StoreUnavailable
from glimpse.jobs.base import Outcome, Run, waiting
from glimpse.jobs.steps.copies import REFUSALS, delete_copy, store_to_delete_from
from glimpse.jobs.steps.image_deletion import DeletionRun
from glimpse.stores.multi import StoreSet

REMOVED = "The copy was removed."


def remove_claimed(
    database: Database, stores: StoreSet, run: DeletionRun, change: JobChange | None = None
) -> JobChange | None:
    """Delete the copy of a job and end the job by ``change``; None removes its row.

    Returns the change that was recorded: another one when the copy has to wait for its store. A copy that another
    location of the image names is left alone.

    :raises Refused, Invalid: the store refuses. The job has ended as failed, and an image that had the
        location when the job began has it again.
    :raises LeaseLost: the job is not this run's any more.
    """
    job = run.job
    given: CopyRemovalInput = input_of(job)
    location = Location(url=given.url, metadata=_named(job.stores, stores))
    try:
        if not _is_named_elsewhere(database, job.image_id, given):
            store = store_to_delete_from(stores, location)
            if store is not None:
                delete_copy(run, store, location)
    except StoreUnavailable as error:
        change = waiting(job, str(error), stores.needs(location))
    except REFUSALS as error:
        failed = JobChange(status=JobStatus.FAILED, message=str(error))
        database.finish_location_removal(job, given.location_id, failed, restore=True)
        raise
    database.finish_location_removal(job, given.location_id, change)
    return change


def _named(needed: tuple[str, ...], stores: StoreSet) -> dict[str, object]:
    """The metadata by which a store is found, where its id is known."""
    return {"store": needed[0]} if needed and needed[0] in stores.ids() else {}


def _is_named_elsewhere(database: Database, image_id: str | None, given: CopyRemovalInput) -> bool:
    if given.location_id is None or image_id is None:
        # the image is deleted, and had no other use for the copy
        return False
    image = database.get_any_image(image_id)
    return image is not None and any(location.url == given.url for location in image.locations)


class CopyRemoval:
    """Removes copies. Shared by threads, as every handler."""

    type = COPY_REMOVAL
    at_once = 4
    most_attempts = 20

    def __init__(self, database: Database, stores: StoreSet) -> None:
        self._database = database
        self._stores = stores

    def run(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.run`."""
        done = JobChange(status=JobStatus.SUCCEEDED, message=REMOVED)
        try:
            recorded = remove_claimed(self._database, self._stores, run, done) or done
        except REFUSALS as error:
            return Outcome(status=JobStatus.FAILED, message=str(error), recorded=True)
        return Outcome(status=recorded.status or JobStatus.PENDING, message=recorded.message or "", recorded=True)

    def give_up(self, run: Run, reason: str) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.give_up`."""
        return self._end(run, JobStatus.FAILED, f"The copy may still be in its store: {reason}")

    def stopped(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.stopped`."""
        return self._end(run, JobStatus.CANCELLED, "The removal was cancelled; the copy may still be in its store.")

    def _end(self, run: Run, status: JobStatus, message: str) -> Outcome:
        given: CopyRemovalInput = input_of(run.job)
        change = JobChange(status=status, message=message)
        self._database.finish_location_removal(run.job, given.location_id, change)
        return Outcome(status=status, message=message, recorded=True)
