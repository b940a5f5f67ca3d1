"""Limits on the total of all images of a project (images-api 6.3; imports-and-stores 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

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
