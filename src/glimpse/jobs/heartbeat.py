"""The one heartbeat of a process: it renews the leases of all its runs with one statement (ARCHITECTURE.md, Jobs)."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from glimpse.context import Context
from glimpse.db.base import Database
from glimpse.domain.job import LEASE_LOST, Claim, Job, JobStatus, Renewed
from glimpse.domain.job_kinds import KINDS, UPLOAD
from glimpse.errors import Conflict, Gone, LeaseLost
from glimpse.settings.model import Leases

#: The database sets the times of a job when it is recorded.
_WHEN_RECORDED = datetime.min  # noqa: DTZ901 - naive, as all times of jobs


def process_name() -> str:
    """A name for this process that no other has: host, pid, and a random part against reuse of the pid."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


class ClaimedRun:
    """One claim of one job. The heartbeat tells it through :meth:`renewed` and :meth:`lose` what it found."""

    def __init__(self, job: Job, lifetime: float) -> None:
        """``job`` as it was claimed a moment ago, for ``lifetime`` seconds."""
        self.job = job
        self.claim = Claim(job.id, job.generation)
        #: the name that unfinished data in stores bear: letters and digits, the same for every claim of the job
        self.attempt_name = job.id.replace("-", "")
        self._lifetime = lifetime
        self._renewed_at = time.monotonic()
        self._lost = False
        self._cancelled = job.cancel_requested
        self._image_deleted = False

    def renewed(self, found: Renewed, asked_at: float) -> None:
        """The lease was renewed by a statement that was sent at ``asked_at`` of the monotonic clock."""
        self._renewed_at = asked_at
        self._cancelled = found.cancelled
        self._image_deleted = found.image_deleted

    def lose(self) -> None:
        """The job belongs to another run now."""
        self._lost = True

    def require_lease(self) -> None:
        """See :meth:`glimpse.jobs.base.Run.require_lease`."""
        if self._lost or time.monotonic() - self._renewed_at > self._lifetime:
            raise LeaseLost(LEASE_LOST)

    def _is_to_stop(self) -> bool:
        """Whether somebody asked for the end, by a cancellation or by deleting the image.

        :raises LeaseLost: another run has the job.
        """
        if self._lost:
            raise LeaseLost(LEASE_LOST)
        kind = KINDS.get(self.job.type)
        return self._cancelled or (self._image_deleted and not (kind is not None and kind.outlives_image))


class AttendedRun(ClaimedRun):
    """The run of a request that does the work of its job itself."""

    def check(self) -> None:
        """Ask between pieces of work whether to go on.

        :raises LeaseLost: another process has the job.
        :raises Conflict: an operator cancelled the job.
        :raises Gone: the image of an upload was deleted.
        """
        if self._is_to_stop():
            raise Conflict("The operation was cancelled.")
        if self._image_deleted and self.job.type == UPLOAD:
            raise Gone("The image was deleted while its data were moving.")


class Heartbeat:
    """Keeps the runs of this process, attended and unattended, and tells each what became of its job.

    A run that outlives its work (because the database did not answer at its end) is renewed no more: its lease runs
    out, and any process claims the job. Without runs a heartbeat costs no statement.
    """

    def __init__(self, database: Database, settings: Leases, owner: str | None = None) -> None:
        """``owner`` is the name of this process in claims."""
        self.owner = owner or process_name()
        #: seconds that a lease lasts without renewal
        self.lifetime = settings.lifetime
        self._database = database
        self._runs: dict[Claim, ClaimedRun] = {}
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, run: ClaimedRun) -> Generator[None]:
        """Renew the lease of a run while the block runs. Older runs of the same job in this process have lost it."""
        claim = run.claim
        with self._lock:
            for other, older in self._runs.items():
                if other.job_id == claim.job_id and other.generation < claim.generation:
                    older.lose()
            self._runs[claim] = run
        try:
            yield
        finally:
            with self._lock:
                del self._runs[claim]

    @contextmanager
    def attend(
        self, context: Context, kind: str, given: msgspec.Struct, *, image_id: str, stores: tuple[str, ...] = ()
    ) -> Generator[AttendedRun]:
        """A job that this request does itself. Its lease is renewed while the block runs.

        It is not recorded yet: a database operation records it together with what it protects. It belongs to no
        project, because its recovery is no part of what one project may have done at the same time.
        """
        job = Job(
            id=uuid.uuid4().hex,
            type=kind,
            status=JobStatus.RUNNING,
            user_id=(context.user_id or "")[:64] or None,
            request_id=context.request_id[:64],
            image_id=image_id,
            stores=stores,
            input=msgspec.to_builtins(given),
            attempt=1,
            generation=1,
            claimed_by=self.owner,
            created_at=_WHEN_RECORDED,
            updated_at=_WHEN_RECORDED,
        )
        run = AttendedRun(job, self.lifetime)
        with self.holding(run):
            yield run

    def renew(self) -> None:
        """Renew the leases of all runs, and tell them whether they are to stop or have lost their jobs."""
        with self._lock:
            runs = dict(self._runs)
        if not runs:
            return
        asked_at = time.monotonic()
        renewed = {
            Claim(found.job_id, found.generation): found
            for found in self._database.renew_jobs(self.owner, tuple(runs), self.lifetime)
        }
        for claim, run in runs.items():
            found = renewed.get(claim)
            if found is None:
                run.lose()
            else:
                run.renewed(found, asked_at)
