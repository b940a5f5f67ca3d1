"""Convert jobs to rows of ``glimpse_jobs`` and back. Objects are stored as JSON in ASCII, which every database accepts.

All rows are written and read here, so the fields that a kind of job marks as secret are encrypted in every row; see
:mod:`glimpse.domain.job_kinds`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from glimpse.db.sql.own_tables import jobs
from glimpse.db.sql.texts import require_short, require_storable
from glimpse.domain.job import Job, JobStatus
from glimpse.domain.job_kinds import change_secrets, input_of, without_tokens
from glimpse.domain.task import KEEP_HOURS
from glimpse.errors import Invalid

_JSON = frozenset({"input", "result", "steps"})
_LENGTHS = {
    "id": 36, "type": 30, "owner": 255, "user_id": 64, "request_id": 64, "image_id": 36, "unique_key": 100,
    "claimed_by": 255,
}  # fmt: skip

#: The columns of ``glimpse_jobs`` in the order of the fields of :class:`Job`.
JOB_COLUMNS = tuple(jobs.c[name] for name in Job.__struct_fields__)


class JobRows:
    """Converts jobs to rows and rows to jobs."""

    def __init__(
        self, encrypt: Callable[[str], str] = str, decrypt: Callable[[str], str] = str, *, keep_hours: int = KEEP_HOURS
    ) -> None:
        """``keep_hours``: how long after its end the task of a job expires."""
        self._encrypt = encrypt
        self._decrypt = decrypt
        self.keep_hours = keep_hours

    def row(self, job: Job, moment: datetime) -> dict[str, Any]:
        """Return the new row of a job, without ``due_at``, which the database sets."""
        row = msgspec.structs.asdict(job)
        del row["due_at"]
        row["input"] = self._sealed(job.type, job.input)
        for name in _JSON:
            row[name] = None if row[name] is None else json.dumps(row[name])
        status = job.status.value
        return {**row, "status": status, "stores": joined(job.stores), "created_at": moment, "updated_at": moment}

    def input_without_tokens(self, job: Job) -> str | None:
        """Return what the row of a job that has ended keeps of its input; None: all of it."""
        left = without_tokens(job.type, job.input)
        return None if left is None else json.dumps(self._sealed(job.type, left))

    def _sealed(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return change_secrets(kind, given, self._encrypt)

    def job(self, row: Sequence[Any]) -> Job:
        """Return the job for a row of :data:`JOB_COLUMNS`."""
        fields: dict[str, Any] = dict(zip(Job.__struct_fields__, row, strict=True))
        for name in _JSON:
            if fields[name] is not None:
                fields[name] = msgspec.json.decode(fields[name])
        fields["input"] = change_secrets(fields["type"], fields["input"], self._decrypt)
        fields["status"] = JobStatus(fields["status"])
        fields["stores"] = separated(fields["stores"])
        return Job(**fields)


def joined(stores: Sequence[str]) -> str | None:
    """Return the names of stores as one string, as stored in a row; None without any."""
    return "".join(f",{name}," for name in stores) or None


def separated(text: str | None) -> tuple[str, ...]:
    """Return the names of stores from the string that :func:`joined` made."""
    return tuple(text[1:-1].split(",,")) if text else ()


def require_job(job: Job) -> None:
    """Check the strings of a new job, except those in its objects, which are stored as ASCII.

    :raises Invalid: a string does not fit its column, or the kind or its input is unknown.
    """
    input_of(job)
    for name, longest in _LENGTHS.items():
        text: str | None = getattr(job, name)
        require_storable((text,))
        require_short(text, longest, f"The {name} of a job")
    require_stores(job.stores)


def require_stores(stores: Sequence[str]) -> None:
    """Check the names of stores.

    :raises Invalid: a name cannot be stored.
    """
    require_storable(stores)
    if any(not name or "," in name for name in stores):
        raise Invalid("The name of a store that a job needs is empty or has a comma.")
