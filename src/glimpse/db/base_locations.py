"""The part of the database that is about single locations: taking one away together with its data, and trust in it.

The row goes first: from then on nobody reads it. A job of the kind ``copy_removal`` owns the time until the data are
gone, so that another process removes them should this one die (ARCHITECTURE.md, Data safety, rule 4).
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from glimpse.db.operations import reads, writes
from glimpse.domain.job import Job, JobChange


class LocationDatabase(Protocol):
    """Removal of single locations, and which are verified; a part of :class:`glimpse.db.base.Database`."""

    @writes()
    def begin_location_removal(self, job: Job, lifetime: float, location_id: int) -> datetime:
        """Take an active location from the active image of ``job``, insert the job, claimed for ``lifetime`` seconds,
        and return the new ``updated_at``.

        The row is kept as ``pending_delete`` (database 7.4).

        :raises NotFound: the image is gone.
        :raises Conflict: the image is not active or being deleted, the location is not there, or none would remain.
        """
        ...

    @reads()
    def unverified_locations(self, image_id: str) -> dict[int, str | None]:
        """The ids of those locations of an image that no data may be served from.

        They were added by changes with ``mark_unverified``, and no other change has named them among its
        ``verified_locations`` yet. The value is the reason for which the check refused one, None before the check.
        """
        ...

    @writes()
    def finish_location_removal(
        self, job: Job, location_id: int | None, change: JobChange | None = None, *, restore: bool = False
    ) -> None:
        """End a run of a removal: remove its row, or change it by ``change``.

        The row of the location, if it is still ``pending_delete``, becomes ``deleted``. With ``restore`` it becomes
        active again, unless the image is deleted by now.

        :raises LeaseLost: the job is not this run's any more; nothing is changed.
        """
        ...
