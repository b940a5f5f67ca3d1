"""Recording a job from a request, and waking up the runner of this process."""

from __future__ import annotations

import threading
import uuid
from datetime import datetime

import msgspec

from glimpse.context import Context
from glimpse.db.base import Database
from glimpse.domain.clock import now
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job
from glimpse.domain.task import KEEP_HOURS, TYPES_OF_KINDS, task_of
from glimpse.notify import events
from glimpse.notify.base import Notifier


class JobQueue:
    """Records jobs. Sets ``wakeup`` after adding one, so that the runner starts it without waiting for its interval."""

    def __init__(self, database: Database, notifier: Notifier | None = None) -> None:
        self._database = database
        self._notifier = notifier
        self.wakeup = threading.Event()

    def draft(
        self,
        context: Context,
        kind: str,
        given: msgspec.Struct,
        *,
        image_id: str,
        unique_key: str | None = None,
        stores: tuple[str, ...] = (),
    ) -> Job:
        """Return a pending job of the caller's project, not recorded yet. ``given`` is the input of its kind."""
        moment = now()
        return Job(
            id=str(uuid.uuid4()),
            type=kind,
            owner=context.project_id,
            user_id=(context.user_id or "")[:64] or None,
            request_id=context.request_id[:64],
            image_id=image_id,
            unique_key=unique_key,
            stores=stores,
            input=msgspec.to_builtins(given),
            created_at=moment,
            updated_at=moment,
        )

    def add(self, job: Job, change: ImageChange | None = None) -> datetime:
        """Record a job, and ``change`` to its image in the same transaction; return the time of the transaction.

        :raises Duplicate: an unfinished job has the same ``unique_key``.
        :raises NotFound: the image does not exist.
        :raises Conflict: the image does not allow ``change``.
        """
        moment = self._database.add_job(job, change)
        if self._notifier is not None and job.type in TYPES_OF_KINDS:
            recorded = msgspec.structs.replace(job, created_at=moment, updated_at=moment)
            events.task_created(self._notifier, task_of(recorded, KEEP_HOURS))
        # last, so that the events of the run come after that of the task
        self.wakeup.set()
        return moment
