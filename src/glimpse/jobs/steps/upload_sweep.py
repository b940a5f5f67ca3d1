"""Kind ``upload_sweep``: what a failed upload may have left in its store is removed when the store works again.

An upload fails and its image is queued again as soon as its store stops working. At that moment the store cannot
remove the unfinished data either.
"""

from __future__ import annotations

from glimpse.domain.job import JobStatus
from glimpse.domain.job_kinds import UPLOAD_SWEEP, UploadSweepInput, input_of
from glimpse.errors import StoreUnavailable
from glimpse.jobs.base import Outcome, Run, WaitForStores
from glimpse.stores.multi import StoreSet


class UploadSweep:
    """Removes the data of failed uploads. Shared by threads, as every handler."""

    type = UPLOAD_SWEEP
    at_once = 2
    most_attempts = 20

    def __init__(self, stores: StoreSet) -> None:
        self._stores = stores

    def run(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.run`."""
        job = run.job
        store = self._stores.needed_by(job.stores)
        if store is None:
            raise WaitForStores(f"The upload was to a store that is not configured here: {', '.join(job.stores)}.")
        given: UploadSweepInput = input_of(job)
        run.check()
        run.require_lease()
        try:
            found = store.sweep(job.image_id or "", given.attempt)
        except StoreUnavailable as error:
            raise WaitForStores(str(error)) from error
        message = "The data of the failed upload were removed." if found else "The failed upload had left no data."
        return Outcome(status=JobStatus.SUCCEEDED, message=message)

    def give_up(self, run: Run, reason: str) -> Outcome:  # noqa: ARG002 - the protocol's signature
        """See :meth:`glimpse.jobs.base.JobHandler.give_up`."""
        return Outcome(status=JobStatus.FAILED, message=f"Data of a failed upload may still be in the store: {reason}")

    def stopped(self, run: Run) -> Outcome:  # noqa: ARG002 - the protocol's signature
        """See :meth:`glimpse.jobs.base.JobHandler.stopped`."""
        return Outcome(
            status=JobStatus.CANCELLED,
            message="The removal was cancelled; data of a failed upload may still be in the store.",
        )
