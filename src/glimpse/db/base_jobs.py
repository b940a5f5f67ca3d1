"""The part of the database that is about jobs: rows that one process at a time works on (ARCHITECTURE.md, Jobs).

Whoever works on a job hands in the job as its claim returned it: its ``claimed_by`` and ``generation`` are asked for in
every statement, so that nothing is changed by a process whose lease another one took over.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job, JobChange, JobQuery


class JobDatabase(Protocol):
    """Jobs; a part of :class:`glimpse.db.base.Database`."""

    def add_job(self, job: Job, change: ImageChange | None = None) -> datetime:
        """Insert a pending job, and in the same transaction apply ``change`` to its image; return ``updated_at``.

        :raises Duplicate: an unfinished job has the same ``unique_key``.
        :raises NotFound: the image is not there; only with a ``change``.
        :raises Conflict: the image does not allow ``change``.
        """
        ...

    def due_jobs(
        self, types: Collection[str], now: float, *, limit: int, without_owners: Collection[str] = ()
    ) -> list[Job]:
        """Unfinished jobs of ``types`` whose ``due_at`` is not after ``now``, the longest due first.

        Jobs of the projects ``without_owners`` are left out; those of no project never are.

        One read by an index: this is what an idle process asks again and again.
        """
        ...

    def claim_job(self, job: Job, owner: str, expires_at: float) -> Job | None:
        """Make ``owner`` the holder of a job of :meth:`due_jobs` by compare-and-set; None when somebody was first."""
        ...

    def renew_jobs(self, owner: str, job_ids: Sequence[str], expires_at: float) -> dict[str, bool]:
        """Renew the leases of those jobs that ``owner`` still runs, all with one statement.

        Returns their ids, each with True when the job is to stop: it was cancelled, or its image is deleted.
        """
        ...

    def save_job(self, job: Job, change: JobChange, image_change: ImageChange | None = None) -> datetime:
        """Record progress, a finished step, a pause or the end of a claimed job, and return ``updated_at``.

        ``image_change`` is applied to its image in the same transaction: a step is done if and only if it is recorded.

        :raises LeaseLost: the job is not this generation's any more; nothing is changed.
        :raises NotFound: the image is gone; nothing is changed. Only with an ``image_change``.
        :raises Conflict: the image does not allow ``image_change``; nothing is changed.
        """
        ...

    def cancel_job(self, job_id: str) -> Job:
        """End a pending job as cancelled, ask the holder of a running one to stop, leave an ended one alone.

        :raises NotFound: there is no such job.
        """
        ...

    def get_job(self, job_id: str) -> Job:
        """:raises NotFound: there is no such job."""
        ...

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """Jobs by time of creation, the newest first, jobs of the same moment by id.

        :raises MarkerUnknown: ``query.after`` names no job.
        """
        ...

    def forget_jobs(self, ended_before: datetime) -> int:
        """Remove jobs that ended before a moment (naive UTC); returns their number."""
        ...
