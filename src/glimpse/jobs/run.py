"""The run of a job in the runner; the heartbeat renews its lease."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import msgspec

from glimpse.db.base import Database
from glimpse.db.records import Viewer
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job, JobChange
from glimpse.domain.progress import RATE
from glimpse.errors import NotFound, Unavailable
from glimpse.jobs.base import JobReleased, JobStopped, Outcome
from glimpse.jobs.heartbeat import ClaimedRun
from glimpse.notify import events
from glimpse.notify.base import Notifier

LOG = logging.getLogger(__name__)

_ANYBODY = Viewer(None, is_admin=True)

#: Seconds between records of progress.
PROGRESS_INTERVAL = 2.0


class UnattendedRun(ClaimedRun):
    """The run of a job in the runner: the implementation of ``jobs.base.Run``.

    ``job`` is always as this claim last recorded it.
    """

    def __init__(
        self,
        database: Database,
        job: Job,
        lifetime: float,
        process_ends: threading.Event,
        notifier: Notifier | None = None,
    ) -> None:
        super().__init__(job, lifetime)
        self._database = database
        self._process_ends = process_ends
        self._notifier = notifier
        self._next_record = 0.0
        #: when and with how many bytes progress was last recorded
        self._recorded: tuple[float, int] | None = None
        #: the latest bytes done and in total
        self._done: tuple[int | None, int | None] = (None, None)

    def check(self) -> None:
        """See :meth:`glimpse.jobs.base.Run.check`."""
        if self._is_to_stop():
            raise JobStopped
        if self._process_ends.is_set():
            raise JobReleased

    def progress(self, done: int, total: int | None) -> None:
        """See :meth:`glimpse.jobs.base.Run.progress`."""
        self.check()
        self._done = (done, total)
        moment = time.monotonic()
        if moment >= self._next_record:
            self._next_record = moment + PROGRESS_INTERVAL
            rate = None
            if self._recorded is not None and done >= self._recorded[1]:
                began, before = self._recorded
                rate = round((done - before) / (moment - began))
            self._recorded = (moment, done)
            self._save(JobChange(bytes_done=done, bytes_total=total, step=(RATE, rate)))
            self.job = msgspec.structs.replace(self.job, steps={**self.job.steps, RATE: rate})

    def record(self, step: str, outcome: Any, change: ImageChange | None = None) -> None:
        """See :meth:`glimpse.jobs.base.Run.record`."""
        self._save(JobChange(step=(step, outcome)), change)
        self.job = msgspec.structs.replace(self.job, steps={**self.job.steps, step: outcome})

    def end(self, outcome: Outcome) -> None:
        """Record the end of the job together with its change to the image.

        :raises LeaseLost: another process has the job.
        :raises NotFound: the image no longer exists; nothing is recorded.
        :raises Conflict: the image does not allow the change; nothing is recorded.
        """
        done, total = self._done
        change = JobChange(
            status=outcome.status,
            message=outcome.message,
            result=outcome.result,
            bytes_done=done,
            bytes_total=total,
        )
        self._save(change, outcome.change)

    def give_back(self, change: JobChange) -> None:
        """Release the job, so that any process may claim it; ``change`` has the status ``pending``.

        :raises LeaseLost: another process already has the job.
        """
        self._save(change)

    def _save(self, change: JobChange, image_change: ImageChange | None = None) -> None:
        self._database.save_job(self.job, change, image_change)
        if self._notifier is not None and image_change is not None and not _only_drops_properties(image_change):
            self._tell(self._notifier)

    def _tell(self, notifier: Notifier) -> None:
        try:
            image = self._database.get_image(self.job.image_id or "", _ANYBODY)
        except (NotFound, Unavailable) as error:
            # the change is saved, so the job has not failed
            LOG.warning("No notification was sent for a change by job %s: %s", self.job.id, error)
        else:
            events.image_updated(notifier, image)


def _only_drops_properties(change: ImageChange) -> bool:
    """Tell whether the change only unlocks an image, which sends no notification."""
    return change == ImageChange(drop_properties=change.drop_properties)
