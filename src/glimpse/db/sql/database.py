"""The database protocol on SQL: each operation checks its texts, then runs as one read or one transaction."""

from __future__ import annotations

from copy import copy
from typing import Self

from sqlalchemy import Engine

from glimpse.db.base import Database
from glimpse.db.operations import operations_of
from glimpse.db.sql import (
    images,
    listing,
    location_repair,
    membership,
    metadef_files,
    metadef_items,
    metadef_namespaces,
    metadef_resource_types,
    purge,
)
from glimpse.db.sql import reading as image_rows
from glimpse.db.sql.deletion import Deletion
from glimpse.db.sql.job_rows import JobRows
from glimpse.db.sql.jobs import Jobs
from glimpse.db.sql.location_removal import LocationRemoval
from glimpse.db.sql.reservations import Reservations
from glimpse.db.sql.retries import FALLBACK
from glimpse.db.sql.transaction import reading, writing
from glimpse.db.sql.uploads import Uploads
from glimpse.db.sql.usage import usage as usage_figures

#: Operations that answer requests that change nothing: a replica may serve them.
READS = tuple(name for name, (_, operation) in operations_of(Database).items() if operation.may_lag)


class SqlDatabase(Uploads, Deletion, Jobs, LocationRemoval, Reservations):
    """:class:`glimpse.db.base.Database` on an engine of :func:`glimpse.db.sql.engine.connect`.

    Comments say how many statements an operation takes.
    """

    # 1, and 1 for each kind of children; with a ceiling 1 more, 2 on servers
    create_image = writing(images.create_image, check=images.require_new_image)
    # 1
    get_image = reading(image_rows.get_image, check=image_rows.require_image_id)
    # 1
    get_any_image = reading(image_rows.get_any_image)
    # 2, 1 more with a marker, 1 more with a tag or property that few images have, 3 to 6 more with one that many have
    list_images = reading(listing.list_images)
    # 1, and 1 or 2 for each kind of children that changes
    update_image = writing(images.update_image, check=images.require_update)

    # 1
    list_members = reading(membership.list_members)
    # 3
    add_member = writing(membership.add_member, check=membership.require_new_member)
    # 2
    set_member_status = writing(membership.set_member_status, check=membership.require_names)
    # 3
    remove_member = writing(membership.remove_member, check=membership.require_names)

    # 2
    name_location_store = writing(location_repair.name_location_store)
    # 1
    usage = reading(usage_figures)

    # 1 for each table
    count_purgeable = reading(purge.count_purgeable)
    # 2, 3 for tasks and for locations
    purge_batch = writing(purge.purge_batch)

    # 1 more than creating; merging takes 1 or 2 for each item
    load_namespace = writing(metadef_files.load_namespace)
    # 1, and 4 for each namespace
    export_namespaces = reading(metadef_files.export_namespaces)
    # 6
    unload_namespaces = writing(metadef_files.unload_namespaces)

    # 2, 3 with a marker
    list_namespaces = reading(metadef_namespaces.list_namespaces)
    # 1
    get_namespace = reading(metadef_namespaces.get_namespace)
    # 5
    get_content = reading(metadef_namespaces.get_content)
    # 1, and 1 for each kind of content; associations take 2 to 4
    create_namespace = writing(metadef_namespaces.create_namespace)
    # 3
    update_namespace = writing(metadef_namespaces.update_namespace)
    # 6
    delete_namespace = writing(metadef_namespaces.delete_namespace)

    # 1
    list_resource_types = reading(metadef_resource_types.list_resource_types)
    # 2
    list_associations = reading(metadef_resource_types.list_associations)
    # 3, 5 where the resource type is new
    add_association = writing(metadef_resource_types.add_association)
    # 3
    remove_association = writing(metadef_resource_types.remove_association)

    # 2
    list_items = reading(metadef_items.list_items)
    # 2, 3 with a marker
    list_tags = reading(metadef_items.list_tags)
    # 2
    get_item = reading(metadef_items.get_item)
    # 2
    add_item = writing(metadef_items.add_item)
    # 3, 2 to append
    add_tags = writing(metadef_items.add_tags)
    # 3
    replace_item = writing(metadef_items.replace_item)
    # 3
    remove_item = writing(metadef_items.remove_item)
    # 2
    clear_items = writing(metadef_items.clear_items)

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

    def close(self) -> None:
        """See the protocol."""
        self._engine.dispose()
        if self._replica is not None:
            self._replica.close()
