"""The database protocol on SQL: each operation checks its texts, then runs as one read or one transaction."""

from __future__ import annotations

from copy import copy
from datetime import datetime
from typing import Self

from sqlalchemy import Engine

from glimpse.db.base_records import Viewer
from glimpse.db.sql import images, listing, reading, texts
from glimpse.db.sql.deletion import Deletion
from glimpse.db.sql.job_rows import JobRows
from glimpse.db.sql.jobs import Jobs
from glimpse.db.sql.location_removal import LocationRemoval
from glimpse.db.sql.location_repair import LocationRepair
from glimpse.db.sql.membership import Membership
from glimpse.db.sql.metadef_database import Metadefs
from glimpse.db.sql.purge import Purge
from glimpse.db.sql.reading import ImageReading
from glimpse.db.sql.reservations import Reservations
from glimpse.db.sql.retries import FALLBACK
from glimpse.db.sql.transaction import read, write
from glimpse.db.sql.uploads import Uploads
from glimpse.db.sql.usage import ProjectUsage
from glimpse.domain.allowance import ImageCeiling
from glimpse.domain.image import Image, ImageChange
from glimpse.domain.listing import ListQuery

#: Operations that change nothing and answer requests that do not either: a replica may serve them.
READS = (
    "get_image", "list_images", "list_members", "list_jobs", "get_job", "list_namespaces", "get_namespace",
    "get_content", "list_resource_types", "list_associations", "list_items", "list_tags", "get_item",
    "export_namespaces",
)  # fmt: skip


class SqlDatabase(
    ImageReading,
    Uploads,
    Deletion,
    Membership,
    Jobs,
    LocationRemoval,
    LocationRepair,
    Purge,
    ProjectUsage,
    Reservations,
    Metadefs,
):
    """:class:`glimpse.db.base.Database` on an engine of :func:`glimpse.db.sql.engine.connect`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._job_rows = JobRows()
        self._replica: SqlDatabase | None = None

    def read_from(self, replica: SqlDatabase) -> None:
        """Have a replica for :meth:`for_reading`, closed together with this database.

        While it does not answer, this database does.
        """
        FALLBACK[replica._engine] = self._engine
        self._replica = replica

    def for_reading(self) -> Self:
        """This database with the :data:`READS` of its replica, which may lag behind; without one, itself."""
        if self._replica is None:
            return self
        view = copy(self)
        for name in READS:
            setattr(view, name, getattr(self._replica, name))
        return view

    def create_image(self, image: Image, *, ceiling: ImageCeiling | None = None) -> None:
        """See the protocol: 1 statement, and 1 for each kind of children; with a ``ceiling`` 1 more, 2 on servers."""
        texts.require_image(image)
        write(self._engine, images.create_image, image, ceiling)

    def list_images(self, query: ListQuery, viewer: Viewer) -> list[Image]:
        """See the protocol: 2 statements, 1 more with a marker, 1 more with a tag or property that few images have, and
        3 to 6 more with one that many have."""
        return read(self._engine, listing.list_images, query, viewer)

    def update_image(self, image_id: str, change: ImageChange) -> datetime:
        """See the protocol: 1 statement, and 1 or 2 for each kind of children that changes."""
        texts.require_change(change)
        reading.require_image_id(image_id)
        return write(self._engine, images.update_image, image_id, change)

    def close(self) -> None:
        """See the protocol."""
        self._engine.dispose()
        if self._replica is not None:
            self._replica.close()
