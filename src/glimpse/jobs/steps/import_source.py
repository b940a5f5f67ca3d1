"""The sources of imports: staged data, and the copies of an image in other stores."""

from __future__ import annotations

from collections.abc import Callable

from glimpse.domain.image import Image
from glimpse.errors import GlimpseError, Invalid
from glimpse.jobs.steps.import_plan import Plan
from glimpse.staging.base import StagingArea
from glimpse.stores.base import Reader
from glimpse.transfer.pump import BATCH_BYTES

#: Opens the data of an active image: the first copy that can be read, and the next ones when it fails.
OpenCopies = Callable[[Image], Reader]


class SourceFailed(Exception):
    """The data could not be read to their end. The cause is a domain error."""


class ReaderSource:
    """The :class:`~glimpse.transfer.source.ByteSource` of a reader; its errors are told from those of the targets."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def next_batch(self) -> bytes | None:
        """Return the next bytes.

        :raises SourceFailed: reading failed.
        """
        try:
            return self._reader.read(BATCH_BYTES) or None
        except GlimpseError as error:
            raise SourceFailed(str(error)) from error


def open_source(plan: Plan, image: Image, staging: StagingArea, open_copies: OpenCopies) -> Reader:
    """Open what the import reads.

    :raises DataNotFound: there are no staged data.
    :raises Invalid: this version cannot import with this method.
    :raises Refused, Unavailable, Forbidden: the data cannot be read, now or later.
    """
    if plan.is_staged:
        return staging.reader(image.id)
    if plan.copies:
        return open_copies(image)
    raise Invalid(f"This version cannot import with the method {plan.method}.")
