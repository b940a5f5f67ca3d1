"""Limits on the total of all images of a project (images-api 6.3; imports-and-stores 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from glimpse.context import Context
from glimpse.db.base import Database
from glimpse.domain.allowance import Allowance, ImageCeiling
from glimpse.domain.image import Image
from glimpse.domain.job import Job

IMAGE_SIZE_TOTAL: Final = "image_size_total"
IMAGE_STAGE_TOTAL: Final = "image_stage_total"
IMAGE_COUNT_TOTAL: Final = "image_count_total"
IMAGE_COUNT_UPLOADING: Final = "image_count_uploading"

#: The four resources; the first two are limited in MiB, the others in images.
RESOURCES: Final = (IMAGE_SIZE_TOTAL, IMAGE_STAGE_TOTAL, IMAGE_COUNT_TOTAL, IMAGE_COUNT_UPLOADING)

_MEBIBYTE = 1 << 20


class ProjectUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of a project: sums of sizes in bytes, and numbers of images (imports-and-stores 7.1)."""

    size_total: int = 0
    stage_total: int = 0
    count_total: int = 0
    count_uploading: int = 0

    def by_resource(self) -> dict[str, int]:
        """Return the usage in the units of the limits."""
        return {
            IMAGE_SIZE_TOTAL: mebibytes(self.size_total),
            IMAGE_STAGE_TOTAL: mebibytes(self.stage_total),
            IMAGE_COUNT_TOTAL: self.count_total,
            IMAGE_COUNT_UPLOADING: self.count_uploading,
        }


#: Reads the usage of one project, or of images without an owner.
UsageOf = Callable[[str | None], ProjectUsage]


class Limited(msgspec.Struct, frozen=True):
    """Usage and limit of one resource, in its unit; -1 means no limit."""

    usage: int
    limit: int


class ProjectLimits(Protocol):
    """Enforces the limits of projects."""

    def enforce(self, project_id: str | None, deltas: Mapping[str, int]) -> None:
        """Check an operation that needs ``deltas`` more of each resource, in its unit.

        A delta of 0 is refused only if the limit is already exceeded.

        :raises LimitExceeded: usage and delta are more than the limit.
        :raises Unavailable: the limits cannot be read at the moment.
        :raises LimitsUnusable: they cannot be read with the configured settings.
        """
        ...

    def usage(self, project_id: str | None) -> Mapping[str, Limited]:
        """Return usage and limit of each limited resource by name.

        :raises Unavailable: the limits cannot be read at the moment.
        :raises LimitsUnusable: they cannot be read with the configured settings.
        """
        ...


def mebibytes(size: int | None) -> int:
    """``size`` bytes in whole MiB, rounded down; an unknown size is 0."""
    return (size or 0) // _MEBIBYTE


# Quota checks before a project gets more images or more data (images-api 4.2, rows 3, 10, 12, 15 and 22)

#: Called with the bytes of an upload stored so far; raises LimitExceeded if they do not fit the project's quota.
Growth = Callable[[int], None]


class Admission(Protocol):
    """The quota of this installation; None is used if no quota is configured."""

    def check_creation(self, context: Context, owner: str | None) -> ImageCeiling | None:
        """Check that the caller may create an image of the project ``owner``.

        The database gets the returned ceiling, because concurrent requests may reach it first.

        :raises LimitExceeded: the project has too many images.
        """
        ...

    def check_upload(self, context: Context, size: int | None) -> None:
        """Check an upload of ``size`` bytes (None: unknown) before its image is read.

        :raises LimitExceeded: the upload certainly does not fit.
        """
        ...

    def claim(self, context: Context, image: Image, job: Job, lifetime: float, size: int | None) -> Growth | None:
        """Begin the upload in the database together with the room that it needs.

        ``job`` is that of the upload; it is claimed for ``lifetime`` seconds.

        On any error the image is unchanged.

        :raises LimitExceeded: there is no room.
        :raises Conflict: the image is not queued any more.
        """
        ...

    def check_stage(self, context: Context, size: int | None) -> None:
        """Check that ``size`` bytes (None: unknown) may be staged, before the image is read.

        :raises LimitExceeded: the project has staged too much already, or would with these.
        """
        ...

    def admit_stage(self, context: Context, job: Job, size: int | None) -> Growth | None:
        """Check the number of images for which data are coming in, and reserve ``size`` bytes (None: unknown), once the
        image is ``uploading``. ``job`` is that of the stage, whose end gives back what it has reserved.

        :raises LimitExceeded: there are too many, or there is no room; the image must be queued again.
        """
        ...

    def for_locations(self, image: Image) -> Allowance | None:
        """Return the allowance for locations added to ``image``, or None (imports-and-stores 7.2)."""
        ...


# ----------------- The space that a running upload has reserved; it grows with the data if the size was not announced

#: An upload of unknown size reserves as many bytes as it already has, within these limits, so that there are few
#: statements and little is reserved in vain.
_LEAST_STEP = 1 << 20
_LARGEST_STEP = 64 << 20


def claim_reserved(
    database: Database, image: Image, job: Job, lifetime: float, allowance: Allowance, size: int | None
) -> Growth:
    """Begin an upload of ``size`` bytes (None: unknown) within an allowance.

    An announced size is reserved completely. For an unknown size, at least one byte must be left.

    :raises LimitExceeded: there is no room.
    :raises Conflict: the image is not queued any more.
    """
    reserved = max(size or 1, 1)
    database.begin_upload(
        job, lifetime, formats=(image.disk_format, image.container_format), allowance=allowance, reserve=reserved
    )

    return _growth(database, job, allowance, reserved)


def reserve_stage(database: Database, job: Job, allowance: Allowance, size: int | None) -> Growth:
    """Reserve room for ``size`` bytes (None: unknown) of a stage that has begun, as :func:`claim_reserved` does.

    :raises LimitExceeded: there is no room.
    """
    reserved = max(size or 1, 1)
    return _growth(database, job, allowance, database.extend_reservation(job, allowance, reserved, reserved))


def _growth(database: Database, job: Job, allowance: Allowance, reserved: int) -> Growth:
    def grow(stored: int) -> None:
        nonlocal reserved
        if stored > reserved:
            wished = stored + min(max(stored, _LEAST_STEP), _LARGEST_STEP)
            reserved = database.extend_reservation(job, allowance, stored, wished)

    return grow
