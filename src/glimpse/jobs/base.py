"""What a kind of job is to the engine, and what the engine is to a job (ARCHITECTURE.md, Jobs).

A handler does the work of one job in steps. Requests do the work of attended kinds themselves; their handlers do what
remains when the process of a request has died.

What a step changes of the image is saved in the transaction that records
the step (:meth:`Run.record`) or the end (the outcome), so a job that another process resumes, from its beginning,
skips what is recorded and does nothing twice. Everything else that a step does has to bear being done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job, JobChange, JobStatus


class JobStopped(Exception):
    """The job is to stop: it was cancelled, or its image is deleted. Raised by :meth:`Run.check`."""


class JobReleased(Exception):
    """This process is ending: the job goes back, for any process to resume at once. Raised by :meth:`Run.check`."""


class TryAgain(Exception):
    """Ends this attempt; the job is claimed again after ``seconds``. ``str(error)`` is recorded as its message."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class WaitForStores(Exception):
    """Ends this attempt without counting it: a store does not work now, or is not configured in this process.

    The job is claimed again after a pause that grows. ``stores`` are those that it is found to need, see
    :meth:`glimpse.stores.multi.StoreSet.needs`; None leaves them as they are.
    """

    def __init__(self, reason: str, stores: tuple[str, ...] | None = None) -> None:
        super().__init__(reason)
        self.stores = stores


#: Pause after the first failed attempt, doubled after each further one, up to the longest; seconds.
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 300.0

_WAITS = "waits"


def pause_after(attempt: int) -> float:
    """Seconds to wait after that many failed attempts."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(20, max(0, attempt - 1)))


def waiting(job: Job, reason: str, stores: tuple[str, ...] | None = None) -> JobChange:
    """The change that gives a job back because of a store; ``stores`` as in :class:`WaitForStores`."""
    waits = int(job.steps.get(_WAITS, 0)) + 1
    return JobChange(
        status=JobStatus.PENDING,
        pause=pause_after(waits),
        message=reason,
        attempt=max(0, job.attempt - 1),
        step=(_WAITS, waits),
        stores=stores,
    )


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a job: ``message`` is a sentence for its owner, ``change`` is what it does to the image.

    ``recorded``: the handler has recorded it already, in a transaction of its own kind.
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
        """The job as recorded last."""
        ...

    @property
    def attempt_name(self) -> str:
        """The name that unfinished data of the job bear in stores."""
        ...

    def check(self) -> None:
        """Ask between pieces of work whether to go on.

        :raises JobStopped: the job was cancelled, or its image is deleted.
        :raises JobReleased: the process is ending.
        :raises LeaseLost: another process has the job.
        """
        ...

    def require_lease(self) -> None:
        """Ask before a step that a later run could not undo, such as removing data from a store.

        Unlike :meth:`check` this also fails when the lease could not be renewed in time, whether or not another
        process has taken the job yet.

        :raises LeaseLost: the lease has run out.
        """
        ...

    def progress(self, done: int, total: int | None) -> None:
        """Tell how many bytes are done; recorded now and then. Raises what :meth:`check` does."""
        ...

    def record(self, step: str, outcome: Any, change: ImageChange | None = None) -> None:
        """Record a finished step together with what it changes of the image.

        :raises NotFound: the image is gone; nothing is recorded. Only with a ``change``.
        :raises Conflict: the image does not allow ``change``; nothing is recorded.
        :raises LeaseLost: another process has the job.
        """
        ...


class JobHandler(Protocol):
    """One kind of job. Shared by threads, so it keeps nothing of a job."""

    @property
    def type(self) -> str:
        """The type of its jobs, as it is stored."""
        ...

    @property
    def most_attempts(self) -> int:
        """Claims of one job after which it is given up: one that ends the process each time must come to an end."""
        ...

    @property
    def at_once(self) -> int | None:
        """How many of its jobs one process runs at the same time, also with ``job_threads = 0``.

        None: they share ``job_threads``, of which no project has more than half.
        """
        ...

    def run(self, run: Run) -> Outcome:
        """Do the job, or the rest of it.

        Any domain error but ``LeaseLost`` ends the attempt: the job is tried again after a pause that grows, or given
        up after the last attempt. After ``Refused`` it is given up at once, because a store would refuse again.

        :raises TryAgain: to choose the pause.
        :raises WaitForStores: a store is missing; the attempt does not count.
        """
        ...

    def give_up(self, run: Run, reason: str) -> Outcome:
        """Bring image and stores in order after the last attempt or a refusal.

        ``reason`` is a sentence for the owner.
        """
        ...

    def stopped(self, run: Run) -> Outcome:
        """Bring image and stores in order after :class:`JobStopped`."""
        ...


Handlers = Mapping[str, JobHandler]
