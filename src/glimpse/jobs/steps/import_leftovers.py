"""What runs of an import leave in stores that do not become copies of the image, and its removal.

Every claim of the job writes under an attempt name of its own. So the removal of what an earlier run left never meets
the data of a later one, and an earlier run that is still alive cannot commit any more once its attempt is swept.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from glimpse.context import Context
from glimpse.db.base import Database
from glimpse.domain.job import Job
from glimpse.domain.job_kinds import UPLOAD_SWEEP, UploadSweepInput
from glimpse.errors import Invalid, Refused, StoreUnavailable
from glimpse.jobs.base import Run
from glimpse.jobs.queue import JobQueue
from glimpse.stores.multi import StoreSet

LOG = logging.getLogger(__name__)

_ATTEMPTS = "attempts"


def attempt_of(job: Job, generation: int) -> str:
    """The attempt name of one claim: letters and digits."""
    return f"{job.id.replace('-', '')}g{generation}"


class Leftovers:
    """Removes unfinished data: immediately if the store works, otherwise in an ``upload_sweep`` job."""

    def __init__(self, database: Database, stores: StoreSet) -> None:
        self._database = database
        self._stores = stores
        self._jobs = JobQueue(database)

    def begin(self, run: Run) -> str:
        """Record that this claim writes from now on, and return its attempt name. Call after :meth:`sweep`."""
        run.record(_ATTEMPTS, [run.job.generation])
        return attempt_of(run.job, run.job.generation)

    def sweep(self, run: Run, stores: Iterable[str]) -> None:
        """Remove from ``stores`` what was left by all claims that have begun to write.

        :raises LeaseLost: the job is not this run's any more.
        """
        generations: list[int] = run.job.steps.get(_ATTEMPTS, [])
        for store_id in stores if generations else ():
            for generation in generations:
                self._sweep(run, store_id, attempt_of(run.job, generation))

    def clean(self, run: Run, placed: Collection[str], possible: Collection[str]) -> None:
        """Remove what this claim has left: committed in the stores ``placed``, and perhaps something in ``possible``.

        What is on its way to the latter may arrive after any removal now, so they are swept later.
        """
        attempt = attempt_of(run.job, run.job.generation)
        for store_id in placed:
            self._sweep(run, store_id, attempt)
        for store_id in possible:
            self._later(run.job, store_id, attempt)

    def _sweep(self, run: Run, store_id: str, attempt: str) -> None:
        job = run.job

        def is_orphan(url: str) -> bool:
            run.require_lease()
            # recorded by this run, so no other one has the job while the image is read
            run.record("swept", attempt)
            image = self._database.get_any_image(job.image_id or "")
            run.require_lease()
            return image is None or all(location.url != url for location in image.locations)

        run.require_lease()
        if store_id not in self._stores.ids():
            # a cancelled import is cleaned up by any process
            LOG.info("What import %s left in store %s is removed by a process that has it", job.id, store_id)
            self._later(job, store_id, attempt)
            return
        try:
            self._stores.by_id(store_id).sweep(job.image_id or "", attempt, is_orphan)
        except StoreUnavailable as error:
            LOG.info("What import %s left in store %s is removed later: %s", job.id, store_id, error)
            self._later(job, store_id, attempt)
        except (Refused, Invalid) as error:
            LOG.warning("What import %s left in store %s cannot be removed: %s", job.id, store_id, error)

    def _later(self, job: Job, store_id: str, attempt: str) -> None:
        needed = self._stores.needed.get(store_id, (store_id,))
        caller = Context(request_id=job.request_id or "", user_id=job.user_id, project_id=job.owner)
        given = UploadSweepInput(attempt=attempt)
        self._jobs.add(self._jobs.draft(caller, UPLOAD_SWEEP, given, image_id=job.image_id or "", stores=needed))
