"""Kind ``image_deletion``: the copies of an image, then its record (images-api 3.6; docs/adr/0016).

A request does this itself (``services/deletion.py``); the handler carries on what a dead process began.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from glimpse.db.base import Database
from glimpse.domain.clock import now
from glimpse.domain.image import ImageChange, Location
from glimpse.domain.job import Job, JobChange, JobStatus
from glimpse.domain.job_kinds import COPY_REMOVAL, IMAGE_DELETION, CopyRemovalInput
from glimpse.domain.status import Status
from glimpse.errors import NotFound
from glimpse.jobs.base import Outcome, Run
from glimpse.jobs.steps.copies import REFUSALS, Attendance, WaitingCopy, delete_copies
from glimpse.notify import events
from glimpse.notify.base import Notifier
from glimpse.stores.multi import StoreSet

_GONE = Outcome(status=JobStatus.SUCCEEDED, message="The image is deleted.")
_CARRIED_OUT = "The deletion was carried out after the process that began it had ended."


class DeletionRun(Attendance, Protocol):
    """A run of the kind, attended or not."""

    @property
    def job(self) -> Job:
        """The job as recorded last."""
        ...


def delete_claimed(
    database: Database,
    stores: StoreSet,
    run: DeletionRun,
    locations: Sequence[Location],
    change: JobChange | None = None,
) -> datetime:
    """Delete the copies of an image and then its record; returns ``deleted_at``.

    Copies that no store of this process can delete now become jobs of their own. ``change`` ends the job of a recovery.

    :raises Refused, Invalid: a store refuses; the image stays with what it has.
    :raises NotFound: the image is gone.
    :raises LeaseLost: the job is not this run's any more.
    """

    def forget(location: Location) -> None:
        if location.id is not None:
            database.save_job(run.job, JobChange(), ImageChange(drop_locations=(location.id,)))

    waiting = delete_copies(run, stores, locations, forget)
    return database.finish_deletion(run.job, [_removal(run.job, stores, copy) for copy in waiting], change)


def _removal(deletion: Job, stores: StoreSet, copy: WaitingCopy) -> Job:
    moment = now()
    return Job(
        id=f"{deletion.id[:24]}-{copy.location.id or 0:x}",
        type=COPY_REMOVAL,
        user_id=deletion.user_id,
        request_id=deletion.request_id,
        image_id=deletion.image_id,
        stores=stores.needs(copy.location),
        input=msgspec.to_builtins(CopyRemovalInput(url=copy.location.url)),
        message=copy.reason,
        created_at=moment,
        updated_at=moment,
    )


class ImageDeletion:
    """Carries out deletions whose process died. Shared by threads, as every handler."""

    type = IMAGE_DELETION
    at_once = 2
    most_attempts = 20

    def __init__(self, database: Database, stores: StoreSet, notifier: Notifier | None = None) -> None:
        self._database = database
        self._stores = stores
        self._notifier = notifier

    def run(self, run: Run) -> Outcome:
        """See :meth:`glimpse.jobs.base.JobHandler.run`."""
        image = self._database.get_any_image(run.job.image_id or "")
        if image is None or image.status is Status.DELETED:
            return _GONE
        change = JobChange(status=JobStatus.SUCCEEDED, message=_CARRIED_OUT)
        try:
            deleted_at = delete_claimed(self._database, self._stores, run, image.locations, change)
        except REFUSALS as error:
            return Outcome(status=JobStatus.FAILED, message=str(error))
        except NotFound:
            return _GONE
        if self._notifier is not None:
            events.image_deleted(self._notifier, image, deleted_at)
        return Outcome(status=JobStatus.SUCCEEDED, message=_CARRIED_OUT, recorded=True)

    def give_up(self, run: Run, reason: str) -> Outcome:  # noqa: ARG002 - the protocol's
        """See :meth:`glimpse.jobs.base.JobHandler.give_up`: the image stays with the copies that it has."""
        return Outcome(status=JobStatus.FAILED, message=reason)

    def stopped(self, run: Run) -> Outcome:  # noqa: ARG002 - the protocol's
        """See :meth:`glimpse.jobs.base.JobHandler.stopped`: the image stays with the copies that it has."""
        return Outcome(status=JobStatus.CANCELLED, message="The deletion was cancelled.")
