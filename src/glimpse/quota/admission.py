"""Quota checks before a project gets more images or more data (images-api 4.2, rows 3, 10, 12, 15 and 22)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from glimpse.context import Context
from glimpse.domain.allowance import Allowance, ImageCeiling
from glimpse.domain.image import Image
from glimpse.domain.job import Job

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

    def for_locations(self, image: Image) -> Allowance | None:
        """Return the allowance for locations added to ``image``, or None (imports-and-stores 7.2)."""
        ...
