"""The database protocol on SQL: each operation checks its texts, then runs as one read or one transaction."""

from __future__ import annotations

from copy import copy
from typing import Self

from sqlalchemy import Engine

from glimpse.db.base import Database
from glimpse.db.operations import operations_of
from glimpse.db.sql import (
    deletion,
    images,
    jobs,
    listing,
    location_removal,
    location_repair,
    membership,
    metadef_files,
    metadef_items,
    metadef_namespaces,
    metadef_resource_types,
    purge,
    reservations,
    tasks,
    uploads,
)
from glimpse.db.sql import reading as image_rows
from glimpse.db.sql.job_rows import JobRows
from glimpse.db.sql.retries import FALLBACK
from glimpse.db.sql.transaction import reading, reading_jobs, writing, writing_jobs
from glimpse.db.sql.usage import usage as usage_figures
from glimpse.domain.job import Job, JobChange
from glimpse.domain.task import KEEP_HOURS
from glimpse.errors import LeaseLost

#: Operations that answer requests that change nothing: a replica may serve them.
READS = tuple(name for name, (_, operation) in operations_of(Database).items() if operation.may_lag)


class SqlDatabase:
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

    # 2; with an allowance 3, and 4 on servers
    begin_upload = writing(uploads.begin_upload, check=uploads.require_upload)
    # 3, and 1 each to drop properties and locations
    finish_upload = writing(uploads.finish_upload, check=uploads.require_data)
    # 2, 3 with a change
    _cancel_upload = writing(uploads.cancel_upload, check=uploads.require_failure)
    # 2, 3 on servers
    extend_reservation = writing(reservations.extend_reservation)

    # 3
    begin_deletion = writing_jobs(deletion.begin_deletion, check=deletion.require_deletion)
    # at most 7, and 1 for each removal
    finish_deletion = writing_jobs(deletion.finish_deletion, check=deletion.require_removals)
    # at most 6
    delete_without_data = writing(deletion.delete_without_data, check=image_rows.require_image_id)

    # 5
    begin_location_removal = writing_jobs(
        location_removal.begin_location_removal, check=location_removal.require_removal
    )
    # 1
    unverified_locations = reading(location_removal.unverified_locations)
    # 1, 2 with a location
    finish_location_removal = writing(location_removal.finish_location_removal)

    # 1, and those of the change; 2 more for a task
    add_job = writing_jobs(jobs.add_job, check=jobs.require_new_job)
    # 1
    due_jobs = reading_jobs(jobs.due_jobs)
    # 1, 2 where the claim succeeds; 1 more for a task, 3 where it has no row
    claim_job = writing_jobs(jobs.claim_job, check=jobs.require_owner)
    # 2, 1 more for tasks, 2 where they have progress; each may be repeated alone
    renew_jobs = reading(jobs.renew_jobs)
    # 1, and those of the image's change; 2 more for a task whose status or message changes
    save_job = writing_jobs(jobs.save_job, check=jobs.require_job_change)
    # 2 or 3
    cancel_job = writing_jobs(jobs.cancel_job, check=jobs.require_job_id)
    # 1
    get_job = reading_jobs(jobs.get_job, check=jobs.require_job_id)
    # 1, 2 after a page
    list_jobs = reading_jobs(jobs.list_jobs)
    # 1
    count_jobs = reading(jobs.count_jobs)
    # 2
    forget_jobs = writing(jobs.forget_jobs)

    # 1, 2 with a marker
    list_tasks = reading(tasks.list_tasks)
    # 1, 2 for a task of Glance
    get_task = reading_jobs(tasks.get_task, check=tasks.require_task_id)
    # 2
    list_image_tasks = reading_jobs(tasks.list_image_tasks)
    # 1
    expire_tasks = reading(tasks.expire_tasks)

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
    # 1; 2 with encrypted URLs
    rewrite_location = writing(location_repair.rewrite_location)
    _stored_value = reading(location_repair.stored_value)
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

    def __init__(self, engine: Engine, *, keep_hours: int = KEEP_HOURS) -> None:
        """``keep_hours``: how long after its end the task of a job expires."""
        self._engine = engine
        self._job_rows = JobRows(keep_hours=keep_hours)
        self._replica: SqlDatabase | None = None

    def cancel_upload(self, job: Job, change: JobChange | None = None) -> bool:
        """See the protocol: a job that is another run's is an error only with a ``change``."""
        try:
            return self._cancel_upload(job, change)
        except LeaseLost:
            if change is not None:
                raise
            return False

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
