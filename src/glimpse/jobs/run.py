"""One claim of one job in this process: the implementation of ``jobs.base.Run``."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import msgspec

from glimpse.db.base import Database
from glimpse.db.base_records import Viewer
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job, JobChange, JobStatus
from glimpse.errors import LeaseLost, NotFound, Unavailable
from glimpse.jobs.base import JobReleased, JobStopped, Outcome
from glimpse.notify import events
from glimpse.notify.base import Notifier

LOG = logging.getLogger(__name__)

_ANYBODY = Viewer(None, is_admin=True)

#: Seconds between records of progress.
PROGRESS_INTERVAL = 2.0


class ClaimedRun:
    """``job`` is always as this claim recorded it last. The heartbeat tells it through :meth:`signal`."""

    def __init__(
        self, database: Database, job: Job, process_ends: threading.Event, notifier: Notifier | None = None
    ) -> None:
        self.job = job
        self._notifier = notifier
        self._database = database
        self._process_ends = process_ends
        self._stop = job.cancel_requested
        self._lost = False
        self._next_record = 0.0

    def signal(self, *, stop: bool | None) -> None:
        """What the last heartbeat found: whether to stop, None when the claim is lost."""
        if stop is None:
            self._lost = True
        else:
            self._stop = stop

    def check(self) -> None:
        """See :meth:`glimpse.jobs.base.Run.check`."""
        if self._lost:
            raise LeaseLost("Another process took the job over, because this one had not renewed its lease in time.")
        if self._stop:
            raise JobStopped
        if self._process_ends.is_set():
            raise JobReleased

    def progress(self, done: int, total: int | None) -> None:
        """See :meth:`glimpse.jobs.base.Run.progress`."""
        self.check()
        if time.monotonic() >= self._next_record:
            self._next_record = time.monotonic() + PROGRESS_INTERVAL
            self._save(JobChange(bytes_done=done, bytes_total=total))

    def record(self, step: str, outcome: Any, change: ImageChange | None = None) -> None:
        """See :meth:`glimpse.jobs.base.Run.record`."""
        self._save(JobChange(step=(step, outcome)), change)
        self.job = msgspec.structs.replace(self.job, steps={**self.job.steps, step: outcome})

    def end(self, outcome: Outcome) -> None:
        """Record the end of the job together with what it changes of the image.

        :raises LeaseLost: another process has the job.
        :raises NotFound: the image is gone; nothing is recorded.
        :raises Conflict: the image does not allow the change; nothing is recorded.
        """
        change = JobChange(status=outcome.status, message=outcome.message, result=outcome.result)
        self._save(change, outcome.change)

    def give_back(self, *, after: float, message: str | None = None, counted: bool = True) -> None:
        """Let any process claim the job after ``after`` seconds; ``counted`` is whether this attempt was one.

        :raises LeaseLost: another process has the job already.
        """
        attempt = None if counted else self.job.attempt - 1
        due_at = time.time() + after
        self._save(JobChange(status=JobStatus.PENDING, due_at=due_at, message=message, attempt=attempt))

    def _save(self, change: JobChange, image_change: ImageChange | None = None) -> None:
        self._database.save_job(self.job, change, image_change)
        if self._notifier is not None and image_change is not None and not _only_drops_properties(image_change):
            self._tell(self._notifier)

    def _tell(self, notifier: Notifier) -> None:
        try:
            image = self._database.get_image(self.job.image_id or "", _ANYBODY)
        except (NotFound, Unavailable) as error:
            # the change is saved, so this is no failure of the job
            LOG.warning("No notification of what job %s changed: %s", self.job.id, error)
        else:
            events.image_updated(notifier, image)


def _only_drops_properties(change: ImageChange) -> bool:
    """As a job does that unlocks its image, of which nobody is told."""
    return change == ImageChange(drop_properties=change.drop_properties)
