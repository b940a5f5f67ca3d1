"""The source of an import whose data must have exactly their format (imports-and-stores 2.16, rows 1 to 4)."""

from __future__ import annotations

import msgspec

from glimpse.errors import UnsupportedContent
from glimpse.jobs.steps.import_source import ImportSource
from glimpse.settings.model import Formats
from glimpse.stores.base import LocalFile
from glimpse.transfer.inspect import Inspection


class ExactInspection:
    """Content inspection that also refuses a disk image of another format within raw data."""

    def __init__(self, disk_format: str | None, formats: Formats, image_id: str) -> None:
        self._disk_format = disk_format
        strict = msgspec.structs.replace(formats, require_image_format_match=True)
        self._inspection = Inspection(disk_format, "bare", strict, image_id)

    def feed(self, batch: bytes) -> None:
        """Feed the next bytes. Never raises."""
        self._inspection.feed(batch)

    def finish(self, size: int) -> None:
        """End the data of ``size`` bytes.

        :raises UnsupportedContent: they are unsafe, or of another format.
        """
        self._inspection.finish(size)
        # a disk with partitions is raw
        found = "raw" if self._inspection.found == "gpt" else self._inspection.found
        if found != self._disk_format:
            raise UnsupportedContent(f"The data are {found}, but disk_format is {self._disk_format}.")


class CheckedSource:
    """The :class:`~glimpse.jobs.steps.import_source.ImportSource` of another one whose end it checks."""

    def __init__(self, source: ImportSource, inspection: ExactInspection) -> None:
        self.length = source.length
        self.remote = source.remote
        if isinstance(source, LocalFile):
            self.fileno = source.fileno
        self._source = source
        self._inspection = inspection
        self._size = 0
        self._is_over = False

    def next_batch(self) -> bytes | None:
        """Return the next bytes; None after the end.

        :raises SourceFailed: the source cannot be read.
        :raises UnsupportedContent: the data are not what they must be.
        """
        batch = None if self._is_over else self._source.next_batch()
        if batch is not None:
            self._size += len(batch)
            self._inspection.feed(batch)
        elif not self._is_over:
            self._is_over = True
            self._inspection.finish(self._size)
        return batch

    def close(self) -> None:
        """Close the source."""
        self._source.close()
