"""The work that no request waits for: jobs, also those that dead processes left. Joined here, by process.

`glimpse serve` does this besides serving requests, `glimpse worker` does only this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from glimpse.database_factory import open_database
from glimpse.db.base import Database
from glimpse.domain.job import JobStatus, offered_node
from glimpse.domain.job_kinds import KINDS
from glimpse.jobs.all import build_handlers
from glimpse.jobs.heartbeat import Heartbeat
from glimpse.jobs.periodic import Periodic
from glimpse.jobs.runner import JobRunner
from glimpse.jobs.staging_clean_up import CLEAN_UP_INTERVAL, clean_up_staging
from glimpse.notify.all import build_notifier
from glimpse.notify.base import Notifier
from glimpse.services.image_copy import copies_of
from glimpse.services.store_markers import check_markers
from glimpse.settings.model import Settings
from glimpse.settings.nodes import own_url
from glimpse.settings.startup import pool_of_jobs
from glimpse.staging.base import StagingArea
from glimpse.staging.build import build_staging
from glimpse.stores.health import StoreHealth
from glimpse.stores.multi import StoreSet
from glimpse.telemetry.metrics import Recorder

#: Seconds to send waiting notifications when the process stops.
NOTIFY_SECONDS = 5.0
#: Seconds between counts of unfinished jobs for the metrics; each is one read of an index.
COUNT_INTERVAL = 30.0


@dataclass(frozen=True, slots=True)
class Background:
    """The threads of one process that run jobs and renew leases: nothing happens until :meth:`start`."""

    runner: JobRunner
    renewal: Periodic
    #: None without metrics
    counting: Periodic | None
    health: StoreHealth
    #: of the staging area
    clean_up: Periodic

    def start(self) -> None:
        """Begin to probe stores, to renew leases and to take jobs."""
        self.health.start()
        self.renewal.start()
        self.runner.start()
        self.clean_up.start()
        if self.counting is not None:
            self.counting.start()

    def stop(self) -> None:
        """Let running steps end, and take nothing more."""
        if self.counting is not None:
            self.counting.stop()
        self.clean_up.stop()
        self.runner.stop()
        self.renewal.stop()
        self.health.stop()


def build_background(
    settings: Settings,
    database: Database,
    stores: StoreSet,
    staging: StagingArea,
    heartbeat: Heartbeat,
    *,
    digest_threads: Executor,
    wakeup: threading.Event,
    notifier: Notifier | None,
    recorder: Recorder | None,
) -> Background:
    """``wakeup`` is set when a request of this process has added a job."""
    runner = JobRunner(
        database,
        build_handlers(
            settings, database, stores, staging, digest_threads, notifier, open_copies=copies_of(database, stores)
        ),
        heartbeat=heartbeat,
        wakeup=wakeup,
        jobs=settings.jobs,
        stores=stores.offers() | offered_node(own_url(settings)),
        # jobs of processes that died are found as fast as leases are renewed
        interval=min(settings.jobs.interval, settings.leases.heartbeat),
        on_outcome=_count_nothing if recorder is None else recorder.job_ended,
        notifier=notifier,
    )
    renewal = Periodic("The renewal of leases", settings.leases.heartbeat, heartbeat.renew)
    unknown_kept = settings.imports.staging_unknown_time
    clean_up = Periodic(
        "The clean-up of the staging area",
        CLEAN_UP_INTERVAL,
        lambda: clean_up_staging(database, staging, unknown_kept),
    )
    if recorder is None:
        return Background(runner, renewal, None, stores.health, clean_up)
    stores.health.on_change = recorder.store_up
    counting = Periodic("The count of jobs", COUNT_INTERVAL, lambda: count_unfinished(database, recorder))
    return Background(runner, renewal, counting, stores.health, clean_up)


def count_unfinished(database: Database, recorder: Recorder) -> None:
    """Record the numbers of unfinished jobs, 0 for kinds without one.

    :raises DatabaseUnavailable: the database does not answer; the metrics keep the numbers before.
    """
    counts = database.count_jobs()
    statuses = (JobStatus.PENDING, JobStatus.RUNNING)
    recorder.unfinished_jobs(
        {(kind, status): counts.get(kind, {}).get(status, 0) for kind in {*KINDS, *counts} for status in statuses}
    )


def _count_nothing(_kind: str, _outcome: str) -> None:
    """Without metrics."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that runs jobs and serves nothing; ``name`` is its name in claims."""

    name: str
    start: Callable[[], None]
    stop: Callable[[], None]


def build_worker(settings: Settings, *, threads: int) -> Worker:
    """``threads`` jobs run at the same time.

    :raises StoreMisconfigured: a store cannot work as configured.
    """
    settings = msgspec.structs.replace(settings, jobs=msgspec.structs.replace(settings.jobs, threads=threads))
    stores = StoreSet(settings.stores)
    staging = build_staging(settings, stores)
    database = open_database(settings, pool=pool_of_jobs(threads))
    heartbeat = Heartbeat(database, settings.leases)
    notifier = build_notifier(settings.notifications, None)
    digest_threads = ThreadPoolExecutor(threads, thread_name_prefix="digest")
    background = build_background(
        settings, database, stores, staging, heartbeat,
        digest_threads=digest_threads, wakeup=threading.Event(), notifier=notifier, recorder=None,
    )  # fmt: skip

    def start() -> None:
        check_markers(stores, database)
        background.start()

    def stop() -> None:
        background.stop()
        digest_threads.shutdown(wait=True, cancel_futures=True)
        if notifier is not None:
            notifier.close(NOTIFY_SECONDS)
        staging.close()
        stores.close()
        database.close()

    return Worker(heartbeat.owner, start, stop)
