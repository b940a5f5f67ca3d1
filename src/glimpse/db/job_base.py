"""The part of the database that is about jobs: rows that one process at a time works on (ARCHITECTURE.md, Jobs).

A run hands in its job as its claim returned it: its id, ``claimed_by`` and ``generation`` are part of every statement,
so a run whose lease another one took over changes nothing. The clock of the database decides when leases and pauses
end; callers say how many seconds they last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from glimpse.db.operations import reads, writes
from glimpse.domain.image import ImageChange
from glimpse.domain.job import Claim, Job, JobChange, JobQuery, Renewed


class JobDatabase(Protocol):
    """Jobs; a part of :class:`glimpse.db.base.Database`."""

    @writes()
    def add_job(self, job: Job, change: ImageChange | None = None, *, lifetime: float | None = None) -> datetime:
        """Insert a pending job that is due at once, apply ``change`` to its image in the same transaction, and return
        ``updated_at``.

        With a ``lifetime`` the job is a running one that ``claimed_by`` holds for so many seconds.

        :raises Duplicate: an unfinished job has the same ``unique_key``.
        :raises Invalid: the kind or its input is unknown to this version.
        :raises NotFound: the image is not there; only with a ``change``.
        :raises Conflict: the image does not allow ``change``.
        """
        ...

    @reads()
    def due_jobs(
        self,
        types: Collection[str],
        *,
        limit: int,
        stores: Collection[str] = (),
        without_owners: Collection[str] = (),
    ) -> list[Job]:
        """Unfinished jobs of ``types`` that are due, the longest due first.

        Jobs that need other than ``stores`` are left out unless they are to be cancelled. Jobs of the projects
        ``without_owners`` are left out; those of no project never are.

        One read by an index: this is what an idle process asks again and again.
        """
        ...

    # the second time finds the generation of the first, and would say that somebody else was first
    @writes()
    def claim_job(self, job: Job, owner: str, lifetime: float) -> Job | None:
        """Make ``owner`` the holder of a job of :meth:`due_jobs` for ``lifetime`` seconds.

        Returns the job as it is now, None when somebody else was first or its holder has renewed its lease.
        """
        ...

    # what was renewed is renewed again, what was lost meanwhile is not in the answer
    @writes(idempotent=True)
    def renew_jobs(self, owner: str, claims: Sequence[Claim], lifetime: float) -> list[Renewed]:
        """Renew the leases of those runs that ``owner`` still holds, all with one statement.

        A run that is not in the result has lost its job, perhaps to a later run of the same process.
        """
        ...

    @writes()
    def save_job(self, job: Job, change: JobChange, image_change: ImageChange | None = None) -> datetime:
        """Record progress, a finished step, a pause or the end of a run, and return ``updated_at``.

        ``image_change`` is applied to its image in the same transaction: a step is done if and only if it is recorded.

        :raises LeaseLost: the job is not this run's any more; nothing is changed.
        :raises NotFound: the image is gone; nothing is changed. Only with an ``image_change``.
        :raises Conflict: the image does not allow ``image_change``; nothing is changed.
        """
        ...

    @writes(idempotent=True)
    def cancel_job(self, job_id: str) -> Job:
        """End a pending job as cancelled, ask the holder of a running one to stop, leave an ended one alone.

        A pending job that is a task has marked its image, for example as locked, so it does not end here: it becomes
        due, and the process that claims it cleans up the image.

        :raises NotFound: there is no such job.
        """
        ...

    @reads(may_lag=True)
    def get_job(self, job_id: str) -> Job:
        """:raises NotFound: there is no such job."""
        ...

    @reads(may_lag=True)
    def list_jobs(self, query: JobQuery) -> list[Job]:
        """Jobs by time of creation, the newest first, jobs of the same moment by id.

        :raises MarkerUnknown: ``query.after`` names no job.
        """
        ...

    @reads()
    def count_jobs(self) -> dict[str, dict[str, int]]:
        """Number of unfinished jobs by kind and status, for metrics and diagnosis."""
        ...

    # the number is for a log line
    @writes(idempotent=True)
    def forget_jobs(self, ended_before: datetime) -> int:
        """Remove jobs that ended before a moment (naive UTC); returns their number."""
        ...
