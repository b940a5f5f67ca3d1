"""The work that no request waits for: jobs, and the recovery of what dead processes left. Joined here, by process.

`glimpse serve` has it beside its requests, `glimpse worker` has nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from glimpse.database_factory import open_database
from glimpse.db.base import Database
from glimpse.jobs.all import build_handlers
from glimpse.jobs.leases import LeaseKeeper
from glimpse.jobs.periodic import Periodic
from glimpse.jobs.recovery import Recovery
from glimpse.jobs.runner import JobRunner
from glimpse.notify.all import build_notifier
from glimpse.notify.base import Notifier
from glimpse.services.store_markers import check_markers
from glimpse.settings.model import Settings
from glimpse.settings.startup import pool_of_jobs
from glimpse.stores.multi import StoreSet
from glimpse.telemetry.metrics import Recorder

#: Seconds that waiting notifications get to leave when the process stops.
NOTIFY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Background:
    """The threads of one process that run jobs and recover leases: nothing happens until :meth:`start`."""

    recovery: Recovery
    runner: JobRunner
    #: whether this process runs jobs
    runs_jobs: bool
    beats: tuple[Periodic, ...]

    def start(self) -> None:
        """Begin to renew, to recover and to take jobs."""
        for beat in self.beats:
            beat.start()
        if self.runs_jobs:
            self.runner.start()

    def stop(self) -> None:
        """Let running steps end, and take nothing more."""
        if self.runs_jobs:
            self.runner.stop()
        for beat in self.beats:
            beat.stop()


def build_background(
    settings: Settings,
    database: Database,
    stores: StoreSet,
    keeper: LeaseKeeper,
    *,
    digest_threads: Executor,
    wakeup: threading.Event,
    notifier: Notifier | None,
    recorder: Recorder | None,
) -> Background:
    """``wakeup`` is set when a request of this process has added a job."""
    on_outcome = recorder.work if recorder is not None else _count_nothing
    runner = JobRunner(
        database,
        build_handlers(settings, database, stores, digest_threads),
        owner=keeper.owner,
        wakeup=wakeup,
        jobs=settings.jobs,
        leases=settings.leases,
        on_outcome=on_outcome,
        notifier=notifier,
    )
    recovery = Recovery(database, stores, keeper, on_outcome, notifier)
    beats = (
        Periodic("The renewal of leases", settings.leases.heartbeat, keeper.renew),
        Periodic("The recovery of leases", settings.leases.heartbeat, recovery.run),
    )
    return Background(recovery, runner, settings.jobs.threads > 0, beats)


def _count_nothing(_purpose: str, _outcome: str) -> None:
    """Without metrics."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that runs jobs and recovers what others left, and serves nothing; ``name`` is its name in leases."""

    name: str
    start: Callable[[], None]
    stop: Callable[[], None]


def build_worker(settings: Settings, *, threads: int) -> Worker:
    """``threads`` jobs run at the same time.

    :raises StoreMisconfigured: a store cannot work as configured.
    """
    settings = msgspec.structs.replace(settings, jobs=msgspec.structs.replace(settings.jobs, threads=threads))
    stores = StoreSet(settings.stores)
    database = open_database(settings, pool=pool_of_jobs(threads))
    keeper = LeaseKeeper(database, settings.leases)
    notifier = build_notifier(settings.notifications, None)
    digest_threads = ThreadPoolExecutor(threads, thread_name_prefix="digest")
    background = build_background(
        settings, database, stores, keeper,
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
        database.close()

    return Worker(keeper.owner, start, stop)
