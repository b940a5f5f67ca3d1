"""The part of the database that completes old rows."""

from __future__ import annotations

from typing import Protocol

from glimpse.db.operations import writes


class RepairDatabase(Protocol):
    """Repairs that nobody asked for; a part of :class:`glimpse.db.base.Database`."""

    @writes()
    def name_location_store(self, image_id: str, location_id: int, store_id: str) -> bool:
        """Write ``store_id`` into the metadata of a live location that names no store; times stay as they are.

        Returns False when the location is gone or names a store by now (imports-and-stores 4.5).
        """
        ...
