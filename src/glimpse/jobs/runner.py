"""The engine: claims jobs for this process and runs each in a thread (ARCHITECTURE.md, Jobs).

A process without work makes one indexed read per interval. When a process dies, others claim its jobs, attended ones
too, once their leases have expired; a regular shutdown releases them immediately. The :class:`Heartbeat` of the
process renews the leases.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from datetime import timedelta

from glimpse.context import CALLER, Context
from glimpse.db.base import Database
from glimpse.domain.clock import now
from glimpse.domain.job import ENDED, Claim, Job, JobChange, JobStatus
from glimpse.domain.task import TYPES_OF_KINDS, task_of
from glimpse.errors import Conflict, DataNotFound, GlimpseError, LeaseLost, NotFound, Refused, Unavailable
from glimpse.jobs.base import (
    Handlers,
    JobHandler,
    JobReleased,
    JobStopped,
    Outcome,
    TryAgain,
    WaitForStores,
    pause_after,
    waiting,
)
from glimpse.jobs.heartbeat import Heartbeat
from glimpse.jobs.periodic import Periodic
from glimpse.jobs.run import UnattendedRun
from glimpse.notify import events
from glimpse.notify.base import Notifier
from glimpse.settings.model import Jobs

LOG = logging.getLogger(__name__)

#: Seconds that running jobs get to notice that the process is ending.
RELEASE_SECONDS = 5.0
#: Seconds between removals of old records.
FORGET_INTERVAL = 3600.0
#: Claims beyond a handler's maximum, after which its clean-up is not tried either.
_HOPELESS = 3

_DEFECT = "The operation failed because of an internal error; the log of the service has the reason."
#: The pool of the kinds without a limit of their own.
_SHARED = ""

_INTERRUPTED = "The operation was interrupted too often, because the processes that worked on it ended."


class JobRunner:
    """Runs jobs of the kinds that it has handlers for, if this process has the stores that they need.

    ``on_outcome`` is called with the type and the final status of each job.
    """

    def __init__(
        self,
        database: Database,
        handlers: Handlers,
        *,
        heartbeat: Heartbeat,
        wakeup: threading.Event,
        jobs: Jobs,
        stores: Collection[str] = (),
        interval: float | None = None,
        on_outcome: Callable[[str, str], None] = lambda _type, _outcome: None,
        notifier: Notifier | None = None,
    ) -> None:
        """``stores`` are those of :meth:`StoreSet.offers`. The runner looks for work when ``wakeup`` is set, and every
        ``interval`` seconds (default: the interval of ``jobs``).
        """
        self._database = database
        self._handlers = handlers
        self._heartbeat = heartbeat
        self._stores = frozenset(stores)
        self._wakeup = wakeup
        self._settings = jobs
        self._interval = jobs.interval if interval is None else interval
        self._on_outcome = on_outcome
        self._notifier = notifier
        self._running: dict[Claim, tuple[UnattendedRun, threading.Thread]] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._dispatcher = threading.Thread(target=self._dispatch, name="jobs", daemon=True)
        self._forgetting = Periodic("The removal of old jobs", FORGET_INTERVAL, self.forget)

    def start(self) -> None:
        """Start looking for jobs."""
        self._forgetting.start()
        self._dispatcher.start()

    def stop(self) -> None:
        """Stop claiming and release running jobs; the lease of a job that does not stop in time expires."""
        self._ending.set()
        self._wakeup.set()
        self._dispatcher.join()
        deadline = time.monotonic() + RELEASE_SECONDS
        for thread in self._threads():
            thread.join(max(0.0, deadline - time.monotonic()))
        self._forgetting.stop()

    def forget(self) -> None:
        """Remove the records of jobs that ended long ago, and mark Glance's tasks that have expired as deleted."""
        moment = now()
        self._database.forget_jobs(moment - timedelta(hours=self._settings.keep_hours))
        self._database.expire_tasks(moment)

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return [thread for _, thread in self._running.values()]

    def _dispatch(self) -> None:
        while not self._ending.is_set():
            self._wakeup.clear()
            try:
                self._start_due()
            except Unavailable as error:
                LOG.warning("Looking for jobs failed: %s", error)
            except Exception:
                # the thread must survive a defect, or this process would run no more jobs
                LOG.exception("Looking for jobs failed")
            self._wakeup.wait(self._interval)

    def _start_due(self) -> None:
        """Start due jobs while there is room for their kinds.

        Kinds without a limit of their own share the threads; no project uses more than half of these (at least one).
        """
        most = max(1, self._settings.threads // 2)
        while True:
            room, owners = self._room()
            types = [kind for kind in self._handlers if room[self._pool(kind)] > 0]
            if not types:
                return
            full = {owner for owner, count in owners.items() if owner is not None and count >= most}
            free = sum(room[pool] for pool in {self._pool(kind) for kind in types})
            due = self._database.due_jobs(types, stores=self._stores, limit=free, without_owners=full)
            started = 0
            for job in due:
                pool = self._pool(job.type)
                if room[pool] <= 0 or (job.owner is not None and owners[job.owner] >= most):
                    continue
                claimed = self._database.claim_job(job, self._heartbeat.owner, self._heartbeat.lifetime)
                if claimed is not None:
                    started += 1
                    room[pool] -= 1
                    owners[claimed.owner] += pool == _SHARED
                    self._start(claimed)
            if not started or started == len(due):
                # otherwise some kinds or projects became full in this round: jobs of others may be due behind them
                return

    def _pool(self, kind: str) -> str:
        """Return the pool of a kind: the kind itself if it has a limit of its own, else the shared pool."""
        return _SHARED if self._handlers[kind].at_once is None else kind

    def _room(self) -> tuple[Counter[str], Counter[str | None]]:
        """Return how many jobs may be started in each pool, and how many each project has in the shared one."""
        with self._lock:
            running = [run.job for run, _ in self._running.values()]
        room = Counter({_SHARED: self._settings.threads})
        room.update({kind: handler.at_once for kind, handler in self._handlers.items() if handler.at_once is not None})
        pools = [self._pool(job.type) for job in running]
        room.subtract(pools)
        return room, Counter(job.owner for job, pool in zip(running, pools, strict=True) if pool == _SHARED)

    def _start(self, job: Job) -> None:
        run = UnattendedRun(self._database, job, self._heartbeat.lifetime, self._ending, self._notifier)
        thread = threading.Thread(target=self._work_and_forget, args=(run,), name=f"job-{job.type}", daemon=True)
        with self._lock:
            self._running[run.claim] = (run, thread)
        thread.start()

    def _work_and_forget(self, run: UnattendedRun) -> None:
        try:
            with self._heartbeat.holding(run):
                self._work(run)
        finally:
            with self._lock:
                del self._running[run.claim]
            self._wakeup.set()

    def _work(self, run: UnattendedRun) -> None:
        job = run.job
        token = CALLER.set(Context(request_id=job.request_id or "", user_id=job.user_id, project_id=job.owner))
        try:
            if self._notifier is not None and job.generation == 1 and job.type in TYPES_OF_KINDS:
                events.task_begun(self._notifier, task_of(job, self._settings.keep_hours))
            outcome = self._attempt(run, self._handlers[job.type])
        except (LeaseLost, Unavailable) as error:
            # nothing can be recorded now; the lease expires or has expired, and another claim resumes the job
            LOG.warning("Job %s (%s) could not be updated; it is resumed later: %s", job.id, job.type, error)
        except Exception:
            LOG.exception("Job %s (%s) could not be finished", job.id, job.type)
        else:
            if outcome is not None and outcome.status in ENDED:
                LOG.info(
                    "Job %s (%s) of image %s ended: %s %s",
                    job.id, job.type, job.image_id, outcome.status, outcome.message,
                )  # fmt: skip
                self._on_outcome(job.type, outcome.status)
                self._tell_of_end(job)
        finally:
            CALLER.reset(token)

    def _tell_of_end(self, job: Job) -> None:
        if self._notifier is None or job.type not in TYPES_OF_KINDS:
            return
        keep_hours = self._settings.keep_hours
        try:
            task = self._database.get_task(job.id, keep_hours)
        except (NotFound, Unavailable) as error:
            LOG.warning("No notification was sent for the end of job %s: %s", job.id, error)
        else:
            events.task_ended(self._notifier, task)

    def _attempt(self, run: UnattendedRun, handler: JobHandler) -> Outcome | None:
        """Make one attempt; return the recorded outcome, or None if the job was released.

        A handler that has itself recorded that the job waits returns an outcome that is not final.
        """
        job = run.job
        if job.attempt > handler.most_attempts:
            return self._give_up(run, handler, job.message or _INTERRUPTED)
        try:
            run.check()
            outcome = handler.run(run)
            if not outcome.recorded:
                run.end(outcome)
        except JobStopped:
            return self._end(run, handler.stopped(run))
        except JobReleased:
            run.give_back(JobChange(status=JobStatus.PENDING, attempt=job.attempt - 1))
            return None
        except Exception as error:  # noqa: BLE001 - a defect of a handler ends an attempt, not the engine
            return self._after_failure(run, handler, error)
        return outcome

    def _after_failure(self, run: UnattendedRun, handler: JobHandler, error: Exception) -> Outcome | None:
        """Release the job for a retry, or give up: after the last attempt, or immediately if a store refuses.

        :raises LeaseLost: this was the failure.
        """
        job = run.job
        match error:
            case LeaseLost():
                raise error
            case NotFound() if not isinstance(error, DataNotFound):
                # the image is gone
                return self._end(run, handler.stopped(run))
            case WaitForStores():
                LOG.info("Job %s (%s) waits for a store: %s", job.id, job.type, error)
                run.give_back(waiting(job, str(error), error.stores))
                return None
            case Refused():
                return self._give_up(run, handler, str(error))
            case TryAgain():
                pause, reason = error.seconds, str(error)
            case GlimpseError():
                pause, reason = pause_after(job.attempt), str(error)
            case _:
                LOG.error("Job %s (%s) failed", job.id, job.type, exc_info=error)
                pause, reason = pause_after(job.attempt), _DEFECT
        if job.attempt >= handler.most_attempts:
            return self._give_up(run, handler, reason)
        LOG.info("Job %s (%s) will be retried in %.0f seconds: %s", job.id, job.type, pause, reason)
        run.give_back(JobChange(status=JobStatus.PENDING, pause=pause, message=reason))
        return None

    def _give_up(self, run: UnattendedRun, handler: JobHandler, reason: str) -> Outcome:
        if run.job.attempt > handler.most_attempts + _HOPELESS:
            return self._end(run, Outcome(status=JobStatus.FAILED, message=reason))
        return self._end(run, handler.give_up(run, reason))

    def _end(self, run: UnattendedRun, outcome: Outcome) -> Outcome:
        if outcome.recorded:
            return outcome
        try:
            run.end(outcome)
        except (NotFound, Conflict) as error:
            # the image was changed or deleted meanwhile: there is nothing to clean up
            LOG.info("The image of job %s has changed: %s", run.job.id, error)
            run.end(Outcome(status=outcome.status, message=outcome.message, result=outcome.result))
        return outcome
