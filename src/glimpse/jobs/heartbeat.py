"""The heartbeat of a process: it renews the leases of all its runs with one statement (ARCHITECTURE.md, Jobs)."""

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
from glimpse.domain.job_kinds import KINDS, STAGING, UPLOAD
from glimpse.errors import Conflict, Gone, LeaseLost
from glimpse.settings.model import Leases

#: The database sets the times of a job when it is recorded.
_WHEN_RECORDED = datetime.min  # noqa: DTZ901 - naive, as all times of jobs


def process_name() -> str:
    """Return a unique name for this process: host, pid, and a random part in case the pid is reused."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


class ClaimedRun:
    """One claim of one job. The heartbeat reports to it through :meth:`renewed` and :meth:`lose`."""

    def __init__(self, job: Job, lifetime: float) -> None:
        """``job`` as it was just claimed, for ``lifetime`` seconds."""
        self.job = job
        self.claim = Claim(job.id, job.generation)
        #: the attempt name of unfinished data in stores: letters and digits, the same for every claim of the job
        self.attempt_name = job.id.replace("-", "")
        self._lifetime = lifetime
        #: whether the job has a row by now, which the heartbeat may expect to find
        self.is_recorded = True
        self._renewed_at = time.monotonic()
        self._lost = False
        self._cancelled = job.cancel_requested
        self._image_deleted = False

    def renewed(self, found: Renewed, asked_at: float) -> None:
        """Record that the lease was renewed by a statement sent at ``asked_at`` (monotonic clock)."""
        self._renewed_at = asked_at
        self._cancelled = found.cancelled
        self._image_deleted = found.image_deleted

    def lose(self) -> None:
        """Record that the job now belongs to another run."""
        self._lost = True

    def require_lease(self) -> None:
        """See :meth:`glimpse.jobs.base.Run.require_lease`."""
        if self._lost or time.monotonic() - self._renewed_at > self._lifetime:
            raise LeaseLost(LEASE_LOST)

    def _is_to_stop(self) -> bool:
        """Tell whether the run must stop, because the job was cancelled or its image deleted.

        :raises LeaseLost: another run has the job.
        """
        if self._lost:
            raise LeaseLost(LEASE_LOST)
        kind = KINDS.get(self.job.type)
        return self._cancelled or (self._image_deleted and not (kind is not None and kind.outlives_image))


class AttendedRun(ClaimedRun):
    """The run of a job whose work the request does itself."""

    def __init__(self, job: Job, lifetime: float) -> None:
        """``job`` is about to be recorded, claimed for ``lifetime`` seconds."""
        super().__init__(job, lifetime)
        self.is_recorded = False

    def needs_renewal(self) -> bool:
        """Whether half of the lease is over."""
        return time.monotonic() - self._renewed_at > self._lifetime / 2

    def check(self) -> None:
        """Return if the request may continue; called between pieces of work.

        :raises LeaseLost: another process has the job.
        :raises Conflict: an operator cancelled the job.
        :raises Gone: the image of an upload or a stage was deleted.
        """
        if self._is_to_stop():
            raise Conflict("The operation was cancelled.")
        if self._image_deleted and self.job.type in (UPLOAD, STAGING):
            raise Gone("The image was deleted while its data were moving.")


class Heartbeat:
    """Renews the leases of all runs of this process, attended and unattended, and tells each the state of its job.

    When the work of a run ends but the database does not answer, renewal stops as well: the lease expires, and any
    process may claim the job. Without runs a heartbeat sends no statement.
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
        """Renew the lease of a run while the block runs. Older runs of the same job in this process lose theirs."""
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
        """Create a job that this request does itself, and renew its lease while the block runs.

        The job is not recorded yet: a database operation records it together with the change that it protects, and
        the caller then calls :meth:`begun`. It belongs to no project, so that its recovery does not count towards the
        concurrent jobs of one.
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

    def begun(self, run: AttendedRun) -> None:
        """The job of ``run`` is recorded now; its lease is renewed at once if that took long.

        A database that did not answer for a while makes it take long.
        """
        run.is_recorded = True
        if run.needs_renewal():
            self.renew()

    def renew(self) -> None:
        """Renew the leases of all runs, and tell each whether it must stop or has lost its job."""
        with self._lock:
            runs = {claim: run for claim, run in self._runs.items() if run.is_recorded}
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
