"""The engine: claims jobs for this process, runs each in a thread, keeps their leases (ARCHITECTURE.md, Jobs).

A process without work makes one indexed read for each ``job_interval``. Whatever ends a process, its jobs are claimed
by another once their leases run out, and at once when it ends orderly.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from glimpse.context import Context
from glimpse.db.base import Database
from glimpse.domain.clock import now
from glimpse.domain.job import Job, JobStatus
from glimpse.errors import Conflict, DataNotFound, GlimpseError, LeaseLost, NotFound, Unavailable
from glimpse.jobs.base import Handlers, JobHandler, JobReleased, JobStopped, Outcome, TryAgain
from glimpse.jobs.periodic import Periodic
from glimpse.jobs.run import ClaimedRun
from glimpse.notify.base import Notifier
from glimpse.settings.model import Jobs, Leases
from glimpse.telemetry.formatters import CALLER

LOG = logging.getLogger(__name__)

#: Pause after the first failed attempt, doubled after each further one, up to the longest; seconds.
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 300.0
#: Seconds that running jobs get to notice that the process is ending.
RELEASE_SECONDS = 5.0
#: Seconds between removals of old records.
FORGET_INTERVAL = 3600.0
#: Claims beyond a handler's last one, after which not even its cleaning up is tried.
_HOPELESS = 3

_DEFECT = "The operation failed because of an internal error; the log of the service has the reason."
_INTERRUPTED = "The operation was interrupted too often, because the processes that worked on it ended."


class JobRunner:
    """Runs jobs of the types that it has handlers for. ``on_outcome`` is told the type and the end of each job."""

    def __init__(
        self,
        database: Database,
        handlers: Handlers,
        *,
        owner: str,
        wakeup: threading.Event,
        jobs: Jobs,
        leases: Leases,
        on_outcome: Callable[[str, str], None] = lambda _type, _outcome: None,
        notifier: Notifier | None = None,
    ) -> None:
        """``owner`` names this process; ``wakeup`` is set when there may be work."""
        self._database = database
        self._handlers = handlers
        self._owner = owner
        self._bell = wakeup
        self._settings = jobs
        self._lifetime = leases.lifetime
        self._on_outcome = on_outcome
        self._notifier = notifier
        self._running: dict[str, tuple[ClaimedRun, threading.Thread]] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._dispatcher = threading.Thread(target=self._dispatch, name="jobs", daemon=True)
        self._beats = (
            Periodic("The renewal of jobs", leases.heartbeat, self.renew),
            Periodic("The removal of old jobs", FORGET_INTERVAL, self.forget),
        )

    def start(self) -> None:
        """Begin to look for jobs."""
        for beat in self._beats:
            beat.start()
        self._dispatcher.start()

    def stop(self) -> None:
        """Claim nothing more and give running jobs back; one that does not notice in time is left to its lease."""
        self._ending.set()
        self._bell.set()
        self._dispatcher.join()
        deadline = time.monotonic() + RELEASE_SECONDS
        with self._lock:
            threads = [thread for _, thread in self._running.values()]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for beat in self._beats:
            beat.stop()

    def run_due(self) -> int:
        """Run what is due now in the calling thread, one job after the other; returns their number."""
        done = 0
        for job in self._database.due_jobs(self._handlers.keys(), time.time(), limit=100):
            claimed = self._claim(job)
            if claimed is not None:
                self._work(ClaimedRun(self._database, claimed, self._ending, self._notifier))
                done += 1
        return done

    def renew(self) -> None:
        """Renew the leases of all running jobs, and pass on who is to stop."""
        with self._lock:
            runs = {job_id: run for job_id, (run, _) in self._running.items()}
        if runs:
            signals = self._database.renew_jobs(self._owner, tuple(runs), self._expiry())
            for job_id, run in runs.items():
                run.signal(stop=signals.get(job_id))

    def forget(self) -> None:
        """Remove the records of jobs that ended long ago."""
        self._database.forget_jobs(now() - timedelta(hours=self._settings.keep_hours))

    def _expiry(self) -> float:
        return time.time() + self._lifetime

    def _claim(self, job: Job) -> Job | None:
        return self._database.claim_job(job, self._owner, self._expiry())

    def _dispatch(self) -> None:
        while not self._ending.is_set():
            self._bell.clear()
            try:
                self._start_due()
            except Unavailable as error:
                LOG.warning("Looking for jobs failed: %s", error)
            except Exception:
                # the thread must outlive a defect, or this process would run no job any more
                LOG.exception("Looking for jobs failed")
            self._bell.wait(self._settings.interval)

    def _start_due(self) -> None:
        """Start what is due while threads are free; no project has more than half of them (one at least)."""
        most = max(1, self._settings.threads // 2)
        while True:
            with self._lock:
                owners = Counter(run.job.owner for run, _ in self._running.values())
            free = self._settings.threads - owners.total()
            if free <= 0:
                return
            full = {owner for owner, count in owners.items() if owner is not None and count >= most}
            due = self._database.due_jobs(self._handlers.keys(), time.time(), limit=free, without_owners=full)
            started = 0
            for job in due:
                if job.owner is not None and owners[job.owner] >= most:
                    continue
                claimed = self._claim(job)
                if claimed is not None:
                    owners[job.owner] += 1
                    started += 1
                    self._start(ClaimedRun(self._database, claimed, self._ending, self._notifier))
            if not started or started == len(due):
                # what was left out is of projects that were not full before: others may be due behind it
                return

    def _start(self, run: ClaimedRun) -> None:
        thread = threading.Thread(target=self._work_and_forget, args=(run,), name=f"job-{run.job.type}", daemon=True)
        with self._lock:
            self._running[run.job.id] = (run, thread)
        thread.start()

    def _work_and_forget(self, run: ClaimedRun) -> None:
        try:
            self._work(run)
        finally:
            with self._lock:
                del self._running[run.job.id]
            self._bell.set()

    def _work(self, run: ClaimedRun) -> None:
        job = run.job
        token = CALLER.set(Context(request_id=job.request_id or "", user_id=job.user_id, project_id=job.owner))
        try:
            outcome = self._attempt(run, self._handlers[job.type])
        except (LeaseLost, Unavailable) as error:
            # nothing can be recorded now; the lease runs out, or has, and another claim goes on from the last record
            LOG.warning("Job %s (%s) was left as it is: %s", job.id, job.type, error)
        except Exception:
            LOG.exception("Job %s (%s) could not be brought to an end", job.id, job.type)
        else:
            if outcome is not None:
                LOG.info("Job %s (%s) ended: %s %s", job.id, job.type, outcome.status, outcome.message)
                self._on_outcome(job.type, outcome.status)
        finally:
            CALLER.reset(token)

    def _attempt(self, run: ClaimedRun, handler: JobHandler) -> Outcome | None:
        """One attempt; the outcome that was recorded, or None when the job was given back."""
        job = run.job
        if job.attempt > handler.most_attempts:
            return self._give_up(run, handler, job.message or _INTERRUPTED)
        try:
            run.check()
            outcome = handler.run(run)
            run.end(outcome)
        except JobStopped:
            return self._end(run, handler.stopped(run))
        except JobReleased:
            run.give_back(after=0.0, counted=False)
            return None
        except Exception as error:  # noqa: BLE001 - a defect of a handler ends an attempt, not the engine
            return self._after_failure(run, handler, error)
        return outcome

    def _after_failure(self, run: ClaimedRun, handler: JobHandler, error: Exception) -> Outcome | None:
        """Pause, or give up after the last attempt.

        :raises LeaseLost: that was the failure.
        """
        job = run.job
        match error:
            case LeaseLost():
                raise error
            case NotFound() if not isinstance(error, DataNotFound):
                # the image is gone
                return self._end(run, handler.stopped(run))
            case TryAgain():
                pause, reason = error.seconds, str(error)
            case GlimpseError():
                pause, reason = pause_after(job.attempt), str(error)
            case _:
                LOG.error("Job %s (%s) failed", job.id, job.type, exc_info=error)
                pause, reason = pause_after(job.attempt), _DEFECT
        if job.attempt >= handler.most_attempts:
            return self._give_up(run, handler, reason)
        LOG.info("Job %s (%s) is tried again in %.0f seconds: %s", job.id, job.type, pause, reason)
        run.give_back(after=pause, message=reason)
        return None

    def _give_up(self, run: ClaimedRun, handler: JobHandler, reason: str) -> Outcome:
        if run.job.attempt > handler.most_attempts + _HOPELESS:
            return self._end(run, Outcome(status=JobStatus.FAILED, message=reason))
        return self._end(run, handler.give_up(run, reason))

    def _end(self, run: ClaimedRun, outcome: Outcome) -> Outcome:
        try:
            run.end(outcome)
        except (NotFound, Conflict) as error:
            # the image went another way meanwhile: there is nothing to bring in order
            LOG.info("The image of job %s has changed: %s", run.job.id, error)
            run.end(Outcome(status=outcome.status, message=outcome.message, result=outcome.result))
        return outcome


def pause_after(attempt: int) -> float:
    """Seconds to wait after that many failed attempts."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** max(0, attempt - 1))
