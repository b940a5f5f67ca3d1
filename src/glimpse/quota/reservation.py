"""The space that a running upload has reserved; it grows with the data if the size was not announced."""

from __future__ import annotations

from glimpse.db.base import Database
from glimpse.domain.allowance import Allowance
from glimpse.domain.image import Image
from glimpse.domain.job import Job
from glimpse.quota.admission import Growth

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

    def grow(stored: int) -> None:
        nonlocal reserved
        if stored > reserved:
            wished = stored + min(max(stored, _LEAST_STEP), _LARGEST_STEP)
            reserved = database.extend_reservation(job, allowance, stored, wished)

    return grow
