"""What is asked before a project gets more images or more data (images-api 4.2, rows 3, 10, 12, 15 and 22)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from glimpse.context import Context
from glimpse.domain.allowance import Allowance, ImageCeiling
from glimpse.domain.image import Image
from glimpse.domain.job import Job

#: Told the bytes of one upload that are stored so far; raises LimitExceeded when the project has no room for them.
Growth = Callable[[int], None]


class Admission(Protocol):
    """The quota of this installation. Where none is configured there is no such object."""

    def check_creation(self, context: Context, owner: str | None) -> ImageCeiling | None:
        """Let the caller create an image of the project ``owner``.

        The database is then given the ceiling, which other requests may reach first.

        :raises LimitExceeded: the project has too many images.
        """
        ...

    def check_upload(self, context: Context, size: int | None) -> None:
        """Look at an upload of ``size`` bytes (None: unknown) before its image is looked up.

        :raises LimitExceeded: it is certain that it does not fit.
        """
        ...

    def claim(self, context: Context, image: Image, job: Job, lifetime: float, size: int | None) -> Growth | None:
        """Begin the upload in the database together with the room that it needs.

        ``job`` is that of the upload; it is claimed for ``lifetime`` seconds.

        Whatever this raises, the image is as it was.

        :raises LimitExceeded: there is no room.
        :raises Conflict: the image is not queued any more.
        """
        ...

    def for_locations(self, image: Image) -> Allowance | None:
        """The allowance that locations added to ``image`` count against, or None (imports-and-stores 7.2)."""
        ...
