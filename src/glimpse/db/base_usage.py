"""The part of the database that counts what projects use, and reserves room for running uploads.

A reservation is part of the lease of its upload: whatever ends the lease ends it, also the recovery after a crash.
Whoever reserves waits for the others of the project, so all together never get more than the allowance.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from glimpse.db.base_records import Lease
from glimpse.domain.allowance import Allowance


class UsageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a project has (imports-and-stores 7.1; database 12): sums of sizes in bytes, numbers of images."""

    size_total: int
    stage_total: int
    count_total: int
    count_uploading: int


class UsageDatabase(Protocol):
    """Usage and reservations; a part of :class:`glimpse.db.base.Database`."""

    def usage(self, project_id: str | None) -> UsageFigures:
        """The figures of the images that a project owns, or of those without an owner; reservations are not in them."""
        ...

    def extend_reservation(self, lease: Lease, allowance: Allowance, needed: int, wished: int) -> int:
        """Let the upload of ``lease`` have ``needed`` bytes in all, and up to ``wished``; returns what it has then.

        :raises LimitExceeded: ``needed`` does not fit; the reservation stays as it was.
        :raises LeaseLost: the lease is not this owner's generation any more.
        """
        ...
