"""The part of the database that counts what projects use, and reserves room for running uploads.

A reservation is part of the job of its upload: it ends with the job, also after a crash. Reservations of one project
are made one after the other, so all together never get more than the allowance.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from glimpse.db.operations import reads, writes
from glimpse.domain.allowance import Allowance
from glimpse.domain.job import Job


class UsageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a project has (imports-and-stores 7.1; database 12): sums of sizes in bytes, numbers of images."""

    size_total: int
    stage_total: int
    count_total: int
    count_uploading: int


class UsageDatabase(Protocol):
    """Usage and reservations; a part of :class:`glimpse.db.base.Database`."""

    @reads()
    def usage(self, project_id: str | None) -> UsageFigures:
        """The figures of the images that a project owns, or of those without an owner; reservations are not in them."""
        ...

    # what is granted takes the place of what was, and is counted without it
    @writes(idempotent=True)
    def extend_reservation(self, job: Job, allowance: Allowance, needed: int, wished: int) -> int:
        """Reserve ``needed`` bytes in all for the upload of ``job``, and up to ``wished``; returns what it has then.

        :raises LimitExceeded: ``needed`` does not fit; the reservation stays as it was.
        :raises LeaseLost: the job is not this run's any more.
        """
        ...
