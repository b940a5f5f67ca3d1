"""Jobs: work that outlives the request that asked for it (ARCHITECTURE.md, Jobs).

A job is claimed by one process at a time, for as long as its lease lasts; whoever writes to it names the generation of
its own claim, so a process that was presumed dead changes nothing any more.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class JobStatus(StrEnum):
    """Where a job is. The last three are its ends."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: Nothing changes a job with one of these.
ENDED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job, complete enough to show it as a task of the wire (imports-and-stores 3.2).

    ``owner`` is the project that asked, ``unique_key`` names what no two unfinished jobs may work on. ``steps`` holds
    what finished steps left, by their names. ``attempt`` counts claims, ``generation`` too but never goes back.
    ``due_at``, in seconds since 1970, is when the job may be claimed: the end of a pause while pending, the end of the
    lease of ``claimed_by`` while running, None once it has ended. Progress is in bytes. Times are naive UTC.
    """

    id: str
    type: str
    status: JobStatus = JobStatus.PENDING
    owner: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    image_id: str | None = None
    unique_key: str | None = None
    input: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    message: str = ""
    steps: dict[str, Any] = {}
    attempt: int = 0
    generation: int = 0
    claimed_by: str | None = None
    due_at: float | None = 0.0
    cancel_requested: bool = False
    bytes_done: int = 0
    bytes_total: int | None = None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None


class JobChange(msgspec.Struct, frozen=True, kw_only=True):
    """What changes of a job that its holder works on; None leaves a field as it is.

    ``step`` is the name and outcome of a step that is finished now. A ``status`` other than running gives the job
    back: ``pending`` with ``due_at`` as the time of the next claim, any end for good.
    """

    status: JobStatus | None = None
    step: tuple[str, Any] | None = None
    result: dict[str, Any] | None = None
    message: str | None = None
    attempt: int | None = None
    due_at: float | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None


class JobQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list, the newest first; None means any. ``after`` is the id of the last job of the page before."""

    status: JobStatus | None = None
    type: str | None = None
    image_id: str | None = None
    owner: str | None = None
    after: str | None = None
    limit: int = 100
