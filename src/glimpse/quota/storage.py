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
from glimpse.quota.admission import Growth
from glimpse.quota.reservation import claim_reserved


class ConfiguredQuota:
    """Implements :class:`glimpse.quota.admission.Admission`; the limits hold under concurrency."""

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

    def for_locations(self, image: Image) -> Allowance | None:
        return (
            None if image.owner is None or not self._storage else Allowance(project_id=image.owner, limit=self._storage)
        )
