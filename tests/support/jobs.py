"""Jobs in tests: leases that run out now, and a runner that works without its own thread."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from glimpse.db.sql.own_tables import jobs
from glimpse.domain.job import Job
from glimpse.jobs.runner import JobRunner


def run_due(runner: JobRunner) -> int:
    """Run what is due now to its end, each job once; returns their number."""
    started: list[str] = []
    start = runner._start

    def counted(job: Job) -> None:
        started.append(job.id)
        start(job)

    runner._start = counted  # type: ignore[method-assign]
    try:
        while True:
            before = set(started)
            runner._start_due()
            for thread in runner._threads():
                thread.join()
            if before.issuperset(started):
                return len(before)
    finally:
        del runner._start


def let_leases_run_out(connection: Connection) -> None:
    """Let every claim be over, and every pause, by the clock of the database."""
    connection.execute(sa.update(jobs).where(jobs.c.due_at.is_not(None)).values(due_at=0.0))
