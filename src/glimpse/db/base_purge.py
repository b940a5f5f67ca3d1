"""The part of the database that removes rows for good that were only marked as deleted (database 11).

A row goes when ``deleted`` is true **and** ``deleted_at`` is before a moment: a live row with an old ``deleted_at``, as
Glance leaves them when it revives one, stays. So does whatever waits for its data to be removed from a store: images
and locations in ``pending_delete``, and the other rows of such an image, which may still be restored.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

import msgspec

from glimpse.db.operations import reads, writes

#: The row of an image keeps its id from being registered again by somebody else, who would inherit the trust in it
#: (OSSN-0075). So this table is purged only when it is asked for by name.
IMAGES = "images"

#: Tables with rows of this kind, in the order in which they can be purged: what refers to a row goes before it.
PURGEABLE = ("image_properties", "image_tags", "image_locations", "image_members", "tasks", IMAGES)

#: Maximum number of rows per transaction.
LARGEST_BATCH = 10_000


class PurgedBatch(msgspec.Struct, frozen=True):
    """How many rows a batch removed, and the key to go on ``after``; None when no row is left to look at."""

    removed: int
    last: int | str | None


class PurgeDatabase(Protocol):
    """Removal of rows that are marked as deleted; a part of :class:`glimpse.db.base.Database`."""

    @reads(for_admins=True)
    def count_purgeable(self, tables: Collection[str], deleted_before: datetime) -> dict[str, int]:
        """How many rows of each of ``tables`` a purge of all of them would remove, in the order of ``PURGEABLE``.

        :raises Invalid: a table is not one of ``PURGEABLE``.
        """
        ...

    @writes(for_admins=True)
    def purge_batch(
        self, table: str, deleted_before: datetime, limit: int, *, after: int | str | None = None
    ) -> PurgedBatch:
        """Remove up to ``limit`` rows (1 to ``LARGEST_BATCH``) in the order of their keys, in one transaction.

        ``deleted_before`` is naive UTC. Called again with ``after`` until ``last`` is None it has looked at every row
        once. A row of ``tasks`` takes its row of ``task_info`` along. An image goes only when it has no row in the
        tables of properties, tags, locations and members any more, and no lease.

        :raises Invalid: the table is not one of ``PURGEABLE``, or the limit is out of range.
        :raises Conflict: an image got such a row meanwhile; nothing is removed.
        """
        ...
