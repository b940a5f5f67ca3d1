"""How far a job is, as its task shows it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from glimpse.domain.job import Job, JobStatus
from glimpse.domain.job_kinds import IMAGE_IMPORT

#: The entry of :attr:`Job.steps` with the latest rate in bytes per second; the first progress of a run sets it to None.
RATE: Final = "rate"

_MIB = 1 << 20


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of a task that has not ended.

    ``phase``: ``waiting`` for a process or for the next attempt; ``starting``; ``copying`` data into stores, or
    ``reading`` them to check a location; ``finishing`` once all data are read; ``stopping`` because it was cancelled.
    ``bytes_total`` None: the source has not said it. ``rate``: the latest, in bytes per second, None while unknown.
    """

    phase: str
    bytes_done: int
    bytes_total: int | None
    rate: int | None


def progress_of(job: Job) -> Progress | None:
    """Return the progress of a job; None once it has ended."""
    if job.status is JobStatus.PENDING:
        return Progress(phase="waiting", bytes_done=job.bytes_done, bytes_total=job.bytes_total, rate=None)
    if job.status is not JobStatus.RUNNING:
        return None
    phase = _phase(job.type, job.bytes_done, job.bytes_total)
    rate: Any = job.steps.get(RATE)
    return Progress(
        phase="stopping" if job.cancel_requested else phase,
        bytes_done=job.bytes_done,
        bytes_total=job.bytes_total,
        rate=rate if isinstance(rate, int) else None,
    )


def _phase(kind: str, done: int, total: int | None) -> str:
    if not done:
        return "starting"
    if total is not None and done >= total:
        return "finishing"
    return "copying" if kind == IMAGE_IMPORT else "reading"


def running_message(kind: str, done: int, total: int | None, message: str, rate: int | None = None) -> str:
    """Return the message of a task that runs: its progress, and why the attempt before failed, if there was one."""
    if not done:
        return message
    text = f"{'Copied' if kind == IMAGE_IMPORT else 'Read'} {done // _MIB} MiB"
    if total is not None:
        text += f" of {total // _MIB} MiB"
    if rate is not None:
        text += f", {rate / _MIB:.1f} MiB/s"
    return f"{text}. The attempt before failed: {message}" if message else f"{text}."
