"""What a task shows of the progress of its job."""

from __future__ import annotations

from typing import Any

import pytest

from glimpse.domain.job import Job, JobStatus
from glimpse.domain.progress import Progress, progress_of
from glimpse.domain.task import task_of
from tests.contract.db.examples import MOMENT

RUNNING = JobStatus.RUNNING
MIB = 1 << 20


def job(**fields: Any) -> Job:
    values: dict[str, Any] = {"id": "j", "type": "api_image_import", "created_at": MOMENT, "updated_at": MOMENT}
    return Job(**{**values, **fields})


@pytest.mark.parametrize(
    ("fields", "phase", "message"),
    [
        ({}, "waiting", ""),
        ({"message": "The store is away.", "bytes_done": 5 * MIB}, "waiting", "The store is away."),
        ({"status": RUNNING}, "starting", ""),
        ({"status": RUNNING, "message": "why"}, "starting", "why"),
        ({"status": RUNNING, "bytes_done": 5 * MIB}, "copying", "Copied 5 MiB."),
        ({"status": RUNNING, "bytes_done": 5 * MIB, "bytes_total": 7 * MIB}, "copying", "Copied 5 MiB of 7 MiB."),
        (
            {"status": RUNNING, "bytes_done": 5 * MIB, "message": "Why.", "steps": {"rate": 3 * MIB // 2}},
            "copying",
            "Copied 5 MiB, 1.5 MiB/s. The attempt before failed: Why.",
        ),
        ({"status": RUNNING, "bytes_done": 5 * MIB, "type": "location_check"}, "reading", "Read 5 MiB."),
        ({"status": RUNNING, "bytes_done": MIB, "bytes_total": MIB}, "finishing", "Copied 1 MiB of 1 MiB."),
        ({"status": RUNNING, "cancel_requested": True}, "stopping", ""),
    ],
)
def test_phases_and_messages(fields: dict[str, Any], phase: str, message: str) -> None:
    task = task_of(job(**fields), 48)
    assert task.progress is not None
    assert (task.progress.phase, task.message) == (phase, message)


def test_the_rate_is_that_of_a_running_job() -> None:
    steps = {"rate": 4096}
    assert progress_of(job(status=RUNNING, bytes_done=1, bytes_total=9, steps=steps)) == Progress(
        phase="copying", bytes_done=1, bytes_total=9, rate=4096
    )
    waiting = progress_of(job(steps=steps))
    assert waiting is not None
    assert waiting.rate is None


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED])
def test_an_ended_job_has_none(status: JobStatus) -> None:
    task = task_of(job(status=status, bytes_done=5, message="over"), 48)
    assert (task.progress, task.message) == (None, "over")
