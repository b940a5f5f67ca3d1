"""The limits set by options: ``user_storage_quota`` and ``max_images_per_project``, the total size and number of a
project's images (images-api 6.2).

They apply to the project that owns the image, not to the one that creates or uploads it. Images without an owner, which
only administrators can create, are not limited.
"""

from __future__ import annotations

from glimpse.context import Context
from glimpse.db.base import Database
from glimpse.domain.allowance import Allowance, ImageCeiling
from glimpse.domain.image import Image
from glimpse.domain.job import Job
from glimpse.quota.base import (
    IMAGE_COUNT_TOTAL,
    IMAGE_COUNT_UPLOADING,
    IMAGE_SIZE_TOTAL,
    IMAGE_STAGE_TOTAL,
    Growth,
    ProjectLimits,
    claim_reserved,
    mebibytes,
    reserve_stage,
)

# The limits set by options: ``user_storage_quota`` and ``max_images_per_project``, the total size and number of a
# project's images (images-api 6.2).
#
# They apply to the project that owns the image, not to the one that creates or uploads it. Images without an owner,
# which only administrators can create, are not limited.


class ConfiguredQuota:
    """Implements :class:`glimpse.quota.base.Admission`; the limits hold under concurrency."""

    def __init__(self, database: Database, *, storage: int, images: int) -> None:
        """``storage`` in bytes, and the number of ``images``, for each project; 0: no limit."""
        self._database = database
        self._storage = storage
        self._images = images

    def check_creation(self, context: Context, owner: str | None) -> ImageCeiling | None:  # noqa: ARG002
        return None if owner is None or not self._images else ImageCeiling(owner, self._images)

    def check_upload(self, context: Context, size: int | None) -> None:
        """Do nothing: the quota is that of the image's owner, and is checked once the image is read."""

    def claim(self, context: Context, image: Image, job: Job, lifetime: float, size: int | None) -> Growth | None:  # noqa: ARG002
        allowance = self.for_locations(image)
        if allowance is None:
            self._database.begin_upload(job, lifetime, formats=(image.disk_format, image.container_format))
            return None
        return claim_reserved(self._database, image, job, lifetime, allowance, size)

    def check_stage(self, context: Context, size: int | None) -> None:
        """Do nothing: staged data do not count; their import does."""

    def admit_stage(self, context: Context, job: Job, size: int | None) -> Growth | None:
        """Return None: this quota limits neither the number of images that are being uploaded nor staged data."""

    def for_locations(self, image: Image) -> Allowance | None:
        return (
            None if image.owner is None or not self._storage else Allowance(project_id=image.owner, limit=self._storage)
        )


# ----------------------------------- Unified limits for the caller's project (images-api 6.3; imports-and-stores 7.2)
# Each operation is checked against Keystone's current limits. In addition, running operations reserve what they
# need, so that concurrent requests take each other into account. An upload of unknown size may exceed the limit if
# the project is not over it yet (imports-and-stores 15), but only one of several concurrent uploads may.

_MEBIBYTE = 1 << 20


class UnifiedLimits:
    """Implements :class:`glimpse.quota.base.Admission`. Callers without a project are not limited."""

    def __init__(self, database: Database, limits: ProjectLimits) -> None:
        self._database = database
        self._limits = limits

    def check_creation(self, context: Context, owner: str | None) -> ImageCeiling | None:  # noqa: ARG002
        project = context.project_id
        if project is None:
            return None
        self._limits.enforce(project, {IMAGE_COUNT_TOTAL: 1})
        limit = self._limit(project, IMAGE_COUNT_TOTAL)
        return None if limit is None else ImageCeiling(project, limit)

    def check_upload(self, context: Context, size: int | None) -> None:
        if context.project_id is not None:
            self._limits.enforce(context.project_id, {IMAGE_SIZE_TOTAL: mebibytes(max(size or 0, 0))})

    def claim(self, context: Context, image: Image, job: Job, lifetime: float, size: int | None) -> Growth | None:
        project = context.project_id
        if project is None:
            self._database.begin_upload(job, lifetime, formats=(image.disk_format, image.container_format))
            return None
        growth: Growth | None = None
        limit = self._limit(project, IMAGE_SIZE_TOTAL)
        if limit is None:
            self._database.begin_upload(job, lifetime, formats=(image.disk_format, image.container_format))
        else:
            bound = Allowance(project_id=project, limit=limit * _MEBIBYTE, unit=_MEBIBYTE, overshoot=size is None)
            growth = claim_reserved(self._database, image, job, lifetime, bound, size)
        self._check_uploading(project, job)
        return growth

    def check_stage(self, context: Context, size: int | None) -> None:
        if context.project_id is not None:
            self._limits.enforce(context.project_id, {IMAGE_STAGE_TOTAL: mebibytes(max(size or 0, 0))})

    def admit_stage(self, context: Context, job: Job, size: int | None) -> Growth | None:
        project = context.project_id
        if project is None:
            return None
        self._limits.enforce(project, {IMAGE_COUNT_UPLOADING: 0})
        limit = self._limit(project, IMAGE_STAGE_TOTAL)
        if limit is None:
            return None
        bound = Allowance(
            project_id=project, limit=limit * _MEBIBYTE, unit=_MEBIBYTE, overshoot=size is None, staged=True
        )
        return reserve_stage(self._database, job, bound, size)

    def for_locations(self, image: Image) -> Allowance | None:  # noqa: ARG002 - the protocol's name
        return None

    def _check_uploading(self, project: str, job: Job) -> None:
        try:
            self._limits.enforce(project, {IMAGE_COUNT_UPLOADING: 0})
        except BaseException:
            self._database.cancel_upload(job)
            raise

    def _limit(self, project: str, resource: str) -> int | None:
        found = self._limits.usage(project).get(resource)
        return None if found is None or found.limit < 0 else found.limit
