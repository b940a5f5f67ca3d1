"""The database as the services see it: coarse operations, one or two for a request.

Implementations: SQL (``db/sql``), and a registry in between (``registry/client.py``). Each passes
``tests/contract/db``. Every method may raise ``DatabaseUnavailable``; texts with characters outside the Unicode BMP are
refused with ``Invalid`` by every writing method (database 1.7), and so are texts that do not fit their column.
A method that changes several rows does so in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from glimpse.db.job_base import JobDatabase
from glimpse.db.metadef_base import MetadefDatabase
from glimpse.db.operations import reads, writes
from glimpse.db.records import PurgedBatch, UsageFigures, Viewer
from glimpse.db.task_base import TaskDatabase
from glimpse.domain.allowance import Allowance, ImageCeiling
from glimpse.domain.image import Image, ImageChange, Location, Member, StoredData
from glimpse.domain.job import Job, JobChange
from glimpse.domain.listing import ListQuery
from glimpse.domain.status import MemberStatus, Status


class LocationDatabase(Protocol):
    """Single locations: removal of one together with its data, and which are verified.

    The row goes first: from then on nobody reads it. A job of the kind ``copy_removal`` owns the time until the data
    are gone, so that another process removes them should this one die (ARCHITECTURE.md, Data safety, rule 4).
    """

    @writes()
    def begin_location_removal(self, job: Job, lifetime: float, location_id: int) -> datetime:
        """Remove an active location from the active image of ``job`` and return the new ``updated_at``.

        The job is inserted, claimed for ``lifetime`` seconds. The location's row is kept as ``pending_delete``
        (database 7.4).

        :raises NotFound: the image does not exist.
        :raises Conflict: the image is not active, or is being deleted; or the location does not exist, or is the last.
        """
        ...

    @reads()
    def unverified_locations(self, image_id: str) -> dict[int, str | None]:
        """Return the ids of the locations of an image whose data must not be served, and why.

        These locations were added by changes with ``mark_unverified``, and no later change has listed them in
        ``verified_locations``. The value is the reason why the check refused the location, None before the check.
        """
        ...

    @writes()
    def finish_location_removal(
        self, job: Job, location_id: int | None, change: JobChange | None = None, *, restore: bool = False
    ) -> None:
        """End a run of a removal: remove its job, or apply ``change`` to it.

        If the location is still ``pending_delete``, it becomes ``deleted``; with ``restore`` it becomes active again,
        unless the image has been deleted.

        :raises LeaseLost: another run has the job; nothing is changed.
        """
        ...


class UsageDatabase(Protocol):
    """Usage of projects, and space reserved for running uploads.

    A reservation is part of the job of its upload: it ends with the job, even after a crash. Reservations of one
    project are made one at a time, so together they never exceed the allowance.
    """

    @reads()
    def usage(self, project_id: str | None) -> UsageFigures:
        """Return the usage of a project, None for images without an owner; reservations are not included."""
        ...

    # the new reservation replaces the old one, which is not counted
    @writes(idempotent=True)
    def extend_reservation(self, job: Job, allowance: Allowance, needed: int, wished: int) -> int:
        """Reserve at least ``needed`` and up to ``wished`` bytes in total for the upload, or the stage, of ``job``.

        Returns the number.

        :raises LimitExceeded: ``needed`` bytes exceed the allowance; the reservation is not changed.
        :raises LeaseLost: another run has the job.
        """
        ...


class MaintenanceDatabase(Protocol):
    """Completes old rows, and purges rows that are marked as deleted (database 11).

    A purge removes rows with ``deleted`` true **and** ``deleted_at`` before a given time. It keeps live rows with an
    old ``deleted_at``, which Glance leaves when it reuses a row. It also keeps images and locations in
    ``pending_delete``, whose data are still to be removed from a store, and all other rows of such an image, which may
    still be restored.
    """

    @writes()
    def name_location_store(self, image_id: str, location_id: int, store_id: str) -> bool:
        """Add ``store_id`` to the metadata of a live location without a store; its timestamps are not changed.

        Return False if the location does not exist any more or already has a store (imports-and-stores 4.5).
        """
        ...

    @writes()
    def rewrite_location(self, image_id: str, location_id: int, old_url: str, new_url: str) -> bool:
        """Give a verified active location ``new_url`` instead of ``old_url``; its timestamps are not changed.

        Return False if the location does not exist any more, is not verified, or has another URL than ``old_url``.
        """
        ...

    @reads(for_admins=True)
    def count_purgeable(self, tables: Collection[str], deleted_before: datetime) -> dict[str, int]:
        """Count the rows of each of ``tables`` that a purge of all of them would remove, in the order of ``PURGEABLE``.

        :raises Invalid: a table is not one of ``PURGEABLE``.
        """
        ...

    @writes(for_admins=True)
    def purge_batch(
        self, table: str, deleted_before: datetime, limit: int, *, after: int | str | None = None
    ) -> PurgedBatch:
        """Remove up to ``limit`` rows (1 to ``LARGEST_BATCH``) in the order of their keys, in one transaction.

        ``deleted_before`` is naive UTC. To visit every row once, call it with ``after`` until ``last`` is None. A row
        of ``tasks`` is removed together with its row of ``task_info``. An image is removed only if it has no rows in
        the tables of properties, tags, locations and members, and no unfinished upload or deletion.

        :raises Invalid: the table is not one of ``PURGEABLE``, or the limit is out of range.
        :raises Conflict: an image got such a row meanwhile; nothing is removed.
        """
        ...


class Database(
    JobDatabase, TaskDatabase, LocationDatabase, UsageDatabase, MaintenanceDatabase, MetadefDatabase, Protocol
):
    """Images, jobs, tasks, what projects use, and metadata definitions."""

    @writes()
    def create_image(self, image: Image, *, ceiling: ImageCeiling | None = None) -> None:
        """Insert an image with its properties, tags and locations.

        :raises Duplicate: the id is taken, also by a deleted image that is not purged yet.
        :raises LimitExceeded: it is one more than the ``ceiling`` allows.
        """
        ...

    @reads(may_lag=True)
    def get_image(self, image_id: str, viewer: Viewer) -> Image:
        """Read one live image with properties, tags, active locations and the viewer's membership.

        :raises NotFound: no such image, a deleted one (admins too), or one that the viewer does not see.
        """
        ...

    @reads(may_lag=True)
    def list_images(self, query: ListQuery, viewer: Viewer) -> list[Image]:
        """Read one page, complete with properties, tags and active locations, in at most three statements.

        NULL sorts as the smallest value in every database, and paging over it neither loses nor repeats rows.

        :raises MarkerUnknown: the marker names no image, or a deleted one and the viewer is no administrator.
        :raises Forbidden: the marker names an image that the viewer does not see.
        """
        ...

    @writes()
    def update_image(self, image_id: str, change: ImageChange) -> datetime:
        """Apply a change in one transaction and return the new ``updated_at``.

        Rows that the change does not name stay as they are. Revived properties lose their ``deleted_at``.

        :raises NotFound: the image is not there or deleted; or a tag of ``drop_tags`` is not there.
        :raises Conflict: the image is in none of ``from_status``, or a property of ``drop_properties`` or a location
            that the change names is gone.
        :raises LimitExceeded: what it takes does not fit into its allowance.
        """
        ...

    @reads(may_lag=True)
    def list_members(self, image_id: str, viewer: Viewer, *, member_id: str | None = None) -> list[Member]:
        """The memberships of a live image that the viewer sees, or the one of ``member_id`` among them.

        Admins and the project that owns the image see all, others their own (database 8.4). Which image
        the viewer sees is not asked here.
        """
        ...

    @writes()
    def add_member(self, image_id: str, member_id: str, *, maximum: int) -> Member:
        """Share an image with a project; the status is ``pending``.

        One transaction counts and adds, so of two requests for one project, or for the last place, one succeeds. A
        removed row is revived: ``created_at`` stays that of the first time, ``deleted_at`` goes.

        :raises NotFound: the image is not there or deleted.
        :raises LimitExceeded: with this one there are more than ``maximum``, unless that is negative.
        :raises Duplicate: the project is a member already, and there is room for another one.
        """
        ...

    # the second time writes the same status; only the time of the change may be the later one
    @writes(idempotent=True)
    def set_member_status(self, image_id: str, member_id: str, status: MemberStatus) -> Member:
        """Record what a project made of the offer.

        :raises NotFound: the project is no member.
        """
        ...

    @writes()
    def remove_member(self, image_id: str, member_id: str) -> Member:
        """Soft-delete a membership and return it; its ``updated_at`` is the time of the removal.

        :raises NotFound: the project is no member.
        """
        ...

    @writes()
    def begin_upload(
        self,
        job: Job,
        lifetime: float,
        *,
        formats: tuple[str | None, str | None] | None = None,
        allowance: Allowance | None = None,
        reserve: int = 1,
    ) -> None:
        """Move the image of ``job`` from ``queued`` to ``saving`` and insert the job, claimed for ``lifetime`` seconds.

        ``formats`` are the disk format and the container format that the data will be inspected for: the image must
        still have them. None does not ask; the service always does. No data fit a format that is not set.

        With an ``allowance`` the job holds ``reserve`` bytes of it until it ends; see :class:`UsageDatabase`.

        :raises Conflict: the image is not queued, or has other formats, or is being deleted.
        :raises NotFound: the image is gone.
        :raises LimitExceeded: the bytes do not fit into the allowance.
        """
        ...

    @writes()
    def finish_upload(
        self,
        job: Job,
        data: StoredData,
        *,
        drop_properties: tuple[str, ...] = (),
        drop_locations: bool = False,
        set_properties: dict[str, str | None] | None = None,
    ) -> datetime:
        """Make the image ``active`` with its data and location, remove the job, return ``updated_at``.

        In the same transaction ``drop_properties``, and all former locations with ``drop_locations``, are removed, and
        then ``set_properties`` set.

        :raises LeaseLost: the job is not this run's any more; nothing is changed.
        :raises Gone: the image is not ``saving`` any more, or is being deleted; nothing is changed.
        """
        ...

    @writes()
    def cancel_upload(self, job: Job, change: JobChange | None = None) -> bool:
        """Return the image from ``saving`` to ``queued`` with size and digests cleared, and remove the job.

        A recovery ends the job by ``change`` instead, and the custom property ``os_glance_failed_upload`` is set to its
        message, for the user to see. Returns False when the image had left ``saving`` by other means (the job ends all
        the same), and False without any change when the job is not this run's any more.

        :raises LeaseLost: the job is not this run's any more; only with a ``change``.
        """
        ...

    @writes()
    def begin_deletion(self, job: Job, lifetime: float, *, from_status: Status) -> list[Location]:
        """Insert the job of a deletion, claimed for ``lifetime`` seconds, and return the active locations of the image.

        Until the job ends the image gets no location.

        :raises Conflict: the image is protected or not in ``from_status``, or another deletion is under way.
        :raises NotFound: the image is gone.
        """
        ...

    @writes()
    def finish_deletion(self, job: Job, removals: Sequence[Job] = (), change: JobChange | None = None) -> datetime:
        """Soft-delete the image and its children (database 6), insert the pending jobs ``removals``, and return
        ``deleted_at``.

        The job is removed; a recovery ends it by ``change`` instead.

        :raises NotFound: the image is gone.
        :raises LeaseLost: the job is not this run's any more; nothing is changed.
        """
        ...

    @writes()
    def delete_without_data(self, image_id: str) -> datetime:
        """Soft-delete an image that has no locations, and its children, and return ``deleted_at``.

        :raises NotFound: the image is gone.
        :raises Conflict: the image is protected, or has locations by now.
        """
        ...

    @reads()
    def get_any_image(self, image_id: str) -> Image | None:
        """An image as an admin sees it, also a deleted one; without what is deleted of its children.

        None when there is no such row.
        """
        ...

    def close(self) -> None:
        """Give back every connection; the object is of no use afterwards."""
        ...
