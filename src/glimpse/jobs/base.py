"""The interface between the job engine and the handlers of jobs (ARCHITECTURE.md, Jobs).

A handler does the work of one job in steps. For attended kinds the request does the work itself; their handlers clean
up or finish when the process of the request has died.

A step's change to the image is saved in the transaction that records the step (:meth:`Run.record`) or the end of the
job (the outcome). A process that resumes the job starts from its beginning, skips recorded steps and changes nothing
twice. Everything else that a step does must be idempotent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job, JobChange, JobStatus


class JobStopped(Exception):
    """The job must stop: it was cancelled, or its image was deleted. Raised by :meth:`Run.check`."""


class JobReleased(Exception):
    """This process is ending: the job is released, and any process may resume it. Raised by :meth:`Run.check`."""


class TryAgain(Exception):
    """Ends this attempt; the job is claimed again after ``seconds``. ``str(error)`` is recorded as its message."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class WaitForStores(Exception):
    """Ends this attempt without counting it: a store is unavailable, or not configured in this process.

    The job is claimed again after a pause that grows. ``stores`` are the stores that it needs, see
    :meth:`glimpse.stores.multi.StoreSet.needs`; None leaves them unchanged.
    """

    def __init__(self, reason: str, stores: tuple[str, ...] | None = None) -> None:
        super().__init__(reason)
        self.stores = stores


#: Pause after the first failed attempt, doubled after each further one up to ``LONGEST_PAUSE``; seconds.
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 300.0

_WAITS = "waits"


def pause_after(attempt: int) -> float:
    """Return the seconds to wait after ``attempt`` failed attempts."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(20, max(0, attempt - 1)))


def waits_of(job: Job) -> int:
    """Return how often a job was released by :class:`WaitForStores`."""
    return int(job.steps.get(_WAITS, 0))


def waiting(job: Job, reason: str, stores: tuple[str, ...] | None = None) -> JobChange:
    """Return the change that releases a job because of a store; ``stores`` as in :class:`WaitForStores`."""
    waits = waits_of(job) + 1
    return JobChange(
        status=JobStatus.PENDING,
        pause=pause_after(waits),
        message=reason,
        attempt=max(0, job.attempt - 1),
        step=(_WAITS, waits),
        stores=stores,
    )


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a job: ``message`` is a sentence for its owner, ``change`` is its change to the image.

    ``recorded``: the handler has already recorded it, in a transaction of its own.
    """

    status: JobStatus
    message: str = ""
    result: dict[str, Any] | None = None
    change: ImageChange | None = None
    recorded: bool = False


class Run(Protocol):
    """One claim of one job, as its handler sees it. All methods belong to the thread of the handler."""

    @property
    def job(self) -> Job:
        """The job as last recorded."""
        ...

    @property
    def attempt_name(self) -> str:
        """The attempt name of the job's unfinished data in stores."""
        ...

    def check(self) -> None:
        """Return if the job may continue; called between pieces of work.

        :raises JobStopped: the job was cancelled, or its image is deleted.
        :raises JobReleased: the process is ending.
        :raises LeaseLost: another process has the job.
        """
        ...

    def require_lease(self) -> None:
        """Return if the lease is valid; called before a step that a later run cannot undo, such as deleting data.

        Unlike :meth:`check`, this also fails when the lease could not be renewed in time, even if no other process has
        claimed the job yet.

        :raises LeaseLost: the lease has expired.
        """
        ...

    def progress(self, done: int, total: int | None) -> None:
        """Report how many bytes are done; recorded every few seconds. Raises the errors of :meth:`check`."""
        ...

    def record(self, step: str, outcome: Any, change: ImageChange | None = None) -> None:
        """Record a finished step together with its change to the image.

        :raises NotFound: the image no longer exists; nothing is recorded. Only with a ``change``.
        :raises Conflict: the image does not allow ``change``; nothing is recorded.
        :raises LeaseLost: another process has the job.
        """
        ...


class JobHandler(Protocol):
    """Handles one kind of job. Shared by threads, so it keeps no state of a job."""

    @property
    def type(self) -> str:
        """The type of its jobs, as it is stored."""
        ...

    @property
    def most_attempts(self) -> int:
        """Maximum number of claims of one job, so that a job that crashes the process each time ends."""
        ...

    @property
    def at_once(self) -> int | None:
        """Maximum number of its jobs that one process runs concurrently, also with ``job_threads = 0``.

        None: they share ``job_threads``, and no project uses more than half of these.
        """
        ...

    def run(self, run: Run) -> Outcome:
        """Do the job, or the rest of it.

        Any domain error except ``LeaseLost`` ends the attempt: the job is retried after a pause that grows, or given
        up after the last attempt. It is given up immediately after ``Refused``, because a store would refuse again.

        :raises TryAgain: to choose the pause.
        :raises WaitForStores: a store is unavailable; the attempt does not count.
        """
        ...

    def give_up(self, run: Run, reason: str) -> Outcome:
        """Clean up the image and its stores after the last attempt or a refusal.

        ``reason`` is a sentence for the owner.
        """
        ...

    def stopped(self, run: Run) -> Outcome:
        """Clean up the image and its stores after :class:`JobStopped`."""
        ...


Handlers = Mapping[str, JobHandler]
