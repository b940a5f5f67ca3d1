"""What a kind of job is to the engine, and what the engine is to a job (ARCHITECTURE.md, Jobs).

A handler does the work of one job in steps. What a step changes of the image is saved in the transaction that records
the step (:meth:`Run.record`) or the end (the outcome), so a job that another process resumes, from its beginning,
skips what is recorded and does nothing twice. Everything else that a step does has to bear being done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from glimpse.domain.image import ImageChange
from glimpse.domain.job import Job, JobStatus


class JobStopped(Exception):
    """The job is to stop: it was cancelled, or its image is deleted. Raised by :meth:`Run.check`."""


class JobReleased(Exception):
    """This process is ending: the job goes back, for any process to resume at once. Raised by :meth:`Run.check`."""


class TryAgain(Exception):
    """Ends this attempt; the job is claimed again after ``seconds``. ``str(error)`` is recorded as its message."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a job: ``message`` is a sentence for its owner, ``change`` is what it does to the image."""

    status: JobStatus
    message: str = ""
    result: dict[str, Any] | None = None
    change: ImageChange | None = None


class Run(Protocol):
    """One claim of one job, as its handler sees it. All methods belong to the thread of the handler."""

    @property
    def job(self) -> Job:
        """The job as recorded last."""
        ...

    def check(self) -> None:
        """Ask between pieces of work whether to go on.

        :raises JobStopped: the job was cancelled, or its image is deleted.
        :raises JobReleased: the process is ending.
        :raises LeaseLost: another process has the job.
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

    def run(self, run: Run) -> Outcome:
        """Do the job, or what is left of it.

        Any domain error but ``LeaseLost`` ends the attempt: the job is tried again after a pause that grows, or given
        up after the last attempt.

        :raises TryAgain: to choose the pause.
        """
        ...

    def give_up(self, run: Run, reason: str) -> Outcome:
        """Bring image and stores in order after the last attempt; ``reason`` is a sentence for the owner."""
        ...

    def stopped(self, run: Run) -> Outcome:
        """Bring image and stores in order after :class:`JobStopped`."""
        ...


Handlers = Mapping[str, JobHandler]
