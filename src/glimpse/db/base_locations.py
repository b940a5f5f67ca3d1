"""The part of the database that is about single locations: taking one away together with its data, and trust in it.

The row goes first: from then on nobody reads it. A lease of purpose ``location`` covers the time until the data are
gone, so that another process removes them should this one die (ARCHITECTURE.md, Data safety, rule 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from glimpse.db.base_records import Lease
from glimpse.domain.image import Location


class LocationDatabase(Protocol):
    """Removal of single locations, and which are verified; a part of :class:`glimpse.db.base.Database`."""

    def begin_location_removal(self, image_id: str, location_ids: Sequence[int], lease: Lease) -> datetime:
        """Take active locations from an active image, record the lease, and return the new ``updated_at``.

        The rows are kept as ``pending_delete`` (database 7.4).

        :raises NotFound: the image is gone.
        :raises Conflict: the image is not active, one of the locations is not there, none would remain, or another
            removal from this image is under way.
        """
        ...

    def locations_being_removed(self, image_id: str) -> list[Location]:
        """The locations of :meth:`begin_location_removal` whose data may still be there."""
        ...

    def unverified_locations(self, image_id: str) -> dict[int, str | None]:
        """The ids of those locations of an image that no data may be served from.

        They were added by changes with ``mark_unverified``, and no other change has named them among its
        ``verified_locations`` yet. The value is the reason for which the check refused one, None before the check.
        """
        ...

    def finish_location_removal(self, lease: Lease) -> None:
        """The data are gone: mark the rows ``deleted`` and drop the lease.

        :raises LeaseLost: the lease is not this generation's any more; nothing is changed.
        """
        ...

    def cancel_location_removal(self, lease: Lease) -> None:
        """A store refuses: make the rows active again, unless the image is deleted by now, and drop the lease.

        :raises LeaseLost: the lease is not this generation's any more; nothing is changed.
        """
        ...
