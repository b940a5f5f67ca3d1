"""Kind ``staging``: the recovery of a stage whose process died (ARCHITECTURE.md, Data safety, rule 4).

What it staged is removed, the image is queued again, and a property says why.
"""

from __future__ import annotations

from glimpse.db.base import Database
from glimpse.domain.image import ImageChange
from glimpse.domain.job import JobStatus
from glimpse.domain.job_kinds import STAGING
from glimpse.domain.properties import FAILED_UPLOAD
from glimpse.domain.status import Status
from glimpse.jobs.base import Outcome, Run
from glimpse.staging.base import StagingArea

INTERRUPTED = "The staging was interrupted because the process that received it ended; stage the data again."
CANCELLED = "The staging was cancelled; stage the data again."


class StagingRecovery:
    """Reverts stages. Shared by threads, as every handler."""

    type = STAGING
    at_once = 2
    most_attempts = 20

    def __init__(self, database: Database, staging: StagingArea) -> None:
        self._database = database
        self._staging = staging

    def run(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.run`."""
        run.check()
        return self._reverted(run, JobStatus.FAILED, INTERRUPTED)

    def give_up(self, run: Run, reason: str) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.give_up`."""
        return self._queued(run, JobStatus.FAILED, f"{INTERRUPTED} Its data may still be in the staging area: {reason}")

    def stopped(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.stopped`."""
        return self._reverted(run, JobStatus.CANCELLED, CANCELLED)

    def _reverted(self, run: Run, status: JobStatus, reason: str) -> Outcome:
        """Remove what the dead process left, unfinished or complete.

        While the image is ``uploading`` under this run nobody else stages data for it. The dead process cannot complete
        them any more, because their unfinished name is removed first.
        """
        image_id = run.job.image_id or ""
        run.require_lease()
        self._staging.sweep(image_id, run.attempt_name)
        # recorded by this run, so the database says now that no later stage has taken the image over
        run.record("swept", True)  # noqa: FBT003 - the outcome of the step
        image = self._database.get_any_image(image_id)
        if image is None or image.status in (Status.UPLOADING, Status.DELETED):
            run.require_lease()
            self._staging.remove(image_id)
        return self._queued(run, status, reason)

    def _queued(self, run: Run, status: JobStatus, reason: str) -> Outcome:
        image = self._database.get_any_image(run.job.image_id or "")
        if image is None or image.status is not Status.UPLOADING:
            return Outcome(status=status, message=reason)
        change = ImageChange(
            columns={"status": Status.QUEUED, "size": None},
            set_properties={FAILED_UPLOAD: reason},
            from_status=(Status.UPLOADING,),
        )
        return Outcome(status=status, message=reason, change=change)
