"""The interface of a staging area: at most one set of data for each image, invisible until it is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from glimpse.stores.base import Reader, Writer

#: The pattern of image ids, which are UUIDs (images-api 3.1). What has another name is not one of the service.
IMAGE_ID: Final = "[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
is_image_id: Final = re.compile(IMAGE_ID).fullmatch


class StagingArea(Protocol):
    """Where staged data are kept. All calls block, and may run in any thread.

    Every call may raise ``StoreUnavailable``.
    """

    def writer(self, image_id: str, attempt: str) -> Writer:
        """Start staging data. In a directory the commit replaces the data of an earlier attempt.

        ``attempt`` (letters and digits) distinguishes attempts for the same image. It begins with the id of the job
        that writes, without dashes: the clean-up keeps the data as long as that job is unfinished.

        :raises Duplicate: an object store has data of the image.
        :raises StoreFull: no space is left.
        :raises AccessDenied: the service may not write there.
        """
        ...

    def fresh_writer(self, image_id: str, attempt: str) -> Writer:
        """Remove what earlier attempts have staged for an image, then start staging as :meth:`writer` does.

        Only one attempt for an image may do this at a time. Raises the errors of :meth:`writer` but ``Duplicate``.
        """
        ...

    def size(self, image_id: str) -> int | None:
        """Return how many bytes are staged for an image; None: none, not even an empty set."""
        ...

    def reader(self, image_id: str) -> Reader:
        """Open the staged data of an image.

        :raises DataNotFound: there are none.
        """
        ...

    def path(self, image_id: str) -> Path | None:
        """Return the local file with the staged data, for programs that need one; None: there is none."""
        ...

    def scratch(self, image_id: str, attempt: str) -> Path:
        """Create an empty file for a program, which is unfinished data until :meth:`sweep` removes it.

        ``attempt`` as for :meth:`writer`.

        :raises StoreFull: no space is left.
        :raises AccessDenied: the service may not write there.
        """
        ...

    def remove(self, image_id: str) -> bool:
        """Remove what is staged for an image, in a directory unfinished data too; return whether there was anything."""
        ...

    def sweep(self, image_id: str, attempt: str) -> bool:
        """Remove the unfinished data of one attempt; return whether there were any."""
        ...

    def images(self) -> Iterator[tuple[str, float]]:
        """Yield the ids of the images for which something is staged, complete or not, and the time of its last change.

        The time is in seconds since 1970, by the clock of the file system. Foreign files are left out.
        """
        ...

    def unfinished(self) -> Iterator[tuple[str, str, float]]:
        """Yield the image id, the attempt, and the time of the last change of all unfinished data.

        The time is in seconds since 1970, by the clock of the file system.
        """
        ...

    def close(self) -> None:
        """Release connections when the service stops. Safe to call twice; never raises."""
        ...
