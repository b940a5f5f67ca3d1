"""Jobs: work that outlives the request that asked for it, or the process that does it (ARCHITECTURE.md, Jobs).

A run is one claim of one job: the id of the job and a generation. Every claim has a higher generation than the one
before, and every statement that changes a job names both, so an older run changes nothing any more.
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


_NODE = "node:"
#: Seconds by which the clocks of hosts may differ from that of the database.
_CLOCKS = 5.0

#: Why a run changes nothing any more.
LEASE_LOST = "Another process took the operation over, because this one had not renewed its lease in time."


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job, complete enough to show it as a task of the wire (imports-and-stores 3.2).

    ``owner`` is the project that asked, ``unique_key`` names what no two unfinished jobs may work on. ``stores`` names
    the stores without which nobody can do the job (:meth:`glimpse.stores.multi.StoreSet.offers`), and the node that has
    to do it (:func:`needed_node`). ``steps`` holds the outcomes of finished steps by name. ``attempt`` counts claims;
    ``generation`` does too, and never goes back. ``due_at`` is when the job may be claimed, in seconds since 1970 by
    the clock of the database: the end of a pause while pending, the end of the lease of ``claimed_by`` while running,
    None once it has ended. Progress is in bytes. Times are naive UTC.
    """

    id: str
    type: str
    status: JobStatus = JobStatus.PENDING
    owner: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    image_id: str | None = None
    unique_key: str | None = None
    stores: tuple[str, ...] = ()
    input: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    message: str = ""
    steps: dict[str, Any] = {}
    attempt: int = 0
    generation: int = 0
    claimed_by: str | None = None
    due_at: float | None = None
    cancel_requested: bool = False
    bytes_done: int = 0
    bytes_total: int | None = None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None


class Claim(msgspec.Struct, frozen=True):
    """One run as its process names it to the database."""

    job_id: str
    generation: int


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose lease was renewed, and whether it is to stop: it was cancelled, or its image is deleted."""

    job_id: str
    generation: int
    cancelled: bool = False
    image_deleted: bool = False


class JobChange(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to a claimed job; None leaves a field as it is.

    ``step`` is the name and outcome of a step that is finished now. A ``status`` other than running ends the claim:
    with ``pending`` the job may be claimed again after ``pause`` seconds, any other status ends the job.
    ``forget``: the row of the job is removed, because nobody needs a record of this end.
    """

    status: JobStatus | None = None
    step: tuple[str, Any] | None = None
    result: dict[str, Any] | None = None
    message: str | None = None
    attempt: int | None = None
    pause: float = 0.0
    stores: tuple[str, ...] | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    forget: bool = False


class JobQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list, the newest first; None means any. ``after`` is the id of the last job of the page before."""

    status: JobStatus | None = None
    types: tuple[str, ...] | None = None
    image_id: str | None = None
    owner: str | None = None
    after: str | None = None
    limit: int = 100


def needed_node(url: str) -> str:
    """Return the name of the node with this URL among the ``stores`` of a job that no other node can do."""
    # names in a row are separated by commas
    return f"{_NODE}{url.replace(',', '%2C')}"


def offered_node(url: str | None) -> frozenset[str]:
    """Return what a node offers to jobs besides its stores; ``url`` is its own, None if it has none."""
    return frozenset() if url is None else frozenset({needed_node(url)})


def described_need(needed: str) -> str:
    """Describe one of the ``stores`` of a job."""
    if needed.startswith(_NODE):
        return f"the node {needed.removeprefix(_NODE)}"
    return f"a process with the store {needed}"


def needs_a_node(job: Job) -> bool:
    """Whether only a certain node can do the job."""
    return any(name.startswith(_NODE) for name in job.stores)


def is_idle(job: Job, now: float) -> bool:
    """Whether nobody works on an unfinished job: it is pending, or its process has died.

    ``now`` in seconds since 1970; the clock of this host may differ a little from that of the database.
    """
    if job.status is JobStatus.RUNNING and job.due_at is not None:
        return job.due_at < now - _CLOCKS
    return job.status is JobStatus.PENDING
