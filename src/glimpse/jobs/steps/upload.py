"""Kind ``upload``: the recovery of an upload whose process died (ARCHITECTURE.md, Data safety, rule 4).

Its unfinished data leave the store, the image is queued again, and a property says why.
"""

from __future__ import annotations

import logging

from glimpse.db.base import Database
from glimpse.domain.job import JobChange, JobStatus
from glimpse.domain.job_kinds import UPLOAD
from glimpse.domain.status import Status
from glimpse.errors import Refused, StoreUnavailable
from glimpse.jobs.base import Outcome, Run, WaitForStores
from glimpse.notify import events
from glimpse.notify.base import Notifier
from glimpse.stores.base import Store
from glimpse.stores.multi import StoreSet

LOG = logging.getLogger(__name__)

INTERRUPTED = "The upload was interrupted because the process that received it ended; upload the data again."


class UploadRecovery:
    """Reverts uploads. Shared by threads, as every handler."""

    type = UPLOAD
    at_once = 2
    most_attempts = 20

    def __init__(self, database: Database, stores: StoreSet, notifier: Notifier | None = None) -> None:
        self._database = database
        self._stores = stores
        self._notifier = notifier

    def run(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.run`."""
        store = self._stores.needed_by(run.job.stores)
        if store is None:
            raise WaitForStores(f"The upload was to a store that is not configured here: {', '.join(run.job.stores)}.")
        run.check()
        run.require_lease()
        try:
            self._sweep(run, store)
        except StoreUnavailable as error:
            raise WaitForStores(str(error)) from error
        return self._queue(run, JobStatus.FAILED, INTERRUPTED)

    def give_up(self, run: Run, reason: str) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.give_up`."""
        return self._queue(run, JobStatus.FAILED, f"{INTERRUPTED} Its data may still be in the store: {reason}")

    def stopped(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.stopped`."""
        store = self._stores.needed_by(run.job.stores)
        if store is None:
            LOG.warning("Cancelled upload %s: its store is not configured here, so no data are removed", run.job.id)
        else:
            run.require_lease()
            try:
                self._sweep(run, store)
            except (Refused, StoreUnavailable) as error:
                return self._queue(
                    run,
                    JobStatus.CANCELLED,
                    f"The upload was cancelled; upload the data again. Its data may still be in the store: {error}",
                )
        return self._queue(run, JobStatus.CANCELLED, "The upload was cancelled; upload the data again.")

    def _sweep(self, run: Run, store: Store) -> None:
        """Remove what the upload left.

        Nobody else writes this image while it is ``saving`` under this run, and the dead writer cannot activate it any
        more: activation asks for the generation that it had.
        """

        def is_orphan(url: str) -> bool:
            # recorded by this run, so the database says now that no later upload has taken the job's place
            run.record("swept", True)  # noqa: FBT003 - the outcome of the step
            image = self._database.get_any_image(run.job.image_id or "")
            if image is None or image.status not in (Status.SAVING, Status.DELETED):
                return False
            run.require_lease()
            return all(location.url != url for location in image.locations)

        store.sweep(run.job.image_id or "", run.attempt_name, is_orphan)

    def _queue(self, run: Run, status: JobStatus, reason: str) -> Outcome:
        job = run.job
        queued = self._database.cancel_upload(job, JobChange(status=status, message=reason))
        if queued and self._notifier is not None:
            image = self._database.get_any_image(job.image_id or "")
            if image is not None:
                events.upload_failed(self._notifier, image, reason, queued=True)
        return Outcome(status=status, message=reason, recorded=True)
