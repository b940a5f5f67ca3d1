"""The import plugin ``image_conversion``: ``qemu-img`` converts the data before they are stored (imports-and-stores
2.16).

Only this needs files: staged data are one already; other data are written to one in the staging area first. Both that
and the result are unfinished data of the job there, which no outcome leaves behind.
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from glimpse.conversion.qemu_img import DRIVERS, QemuImg
from glimpse.domain.image import Image
from glimpse.errors import GlimpseError, LimitExceeded, Unavailable, UnsupportedContent
from glimpse.jobs.base import Run
from glimpse.jobs.steps.checked_source import CheckedSource, ExactInspection
from glimpse.jobs.steps.import_leftovers import attempt_of
from glimpse.jobs.steps.import_source import ImportSource, SourceFailed
from glimpse.settings.model import Formats
from glimpse.settings.model import ImportPlugins as PluginSettings
from glimpse.staging.base import StagingArea
from glimpse.transfer.pump import BATCH_BYTES, beyond_cap

LOG = logging.getLogger(__name__)

_CONVERTING = "converting"
#: Ends of the names of attempts: data to convert, and what they become.
_INPUT, _RESULT = "in", "out"
#: Room for the tables of a format, beside the data: at most one part in 128.
_TABLES = 128


class FileSource:
    """The :class:`~glimpse.jobs.steps.import_source.ImportSource` of a file in the staging area, removed at its end."""

    remote = None

    def __init__(self, path: Path, staging: StagingArea, image_id: str, attempt: str) -> None:
        """:raises OSError: the file cannot be read."""
        self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.length = os.fstat(self._fd).st_size
        self._staging = staging
        self._image_id = image_id
        self._attempt = attempt

    def fileno(self) -> int:
        """See :meth:`glimpse.stores.base.LocalFile.fileno`."""
        return self._fd

    def next_batch(self) -> bytes | None:
        """Return the next bytes; None after the end."""
        try:
            return os.read(self._fd, BATCH_BYTES) or None
        except OSError as error:
            raise _failure(error) from error

    def close(self) -> None:
        """Close and remove the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            remove(self._staging, self._image_id, self._attempt)


class Conversion:
    """Converts the data of imports. Shared by threads."""

    def __init__(self, settings: PluginSettings, staging: StagingArea, formats: Formats, size_cap: int) -> None:
        """``size_cap`` is the maximum of bytes of the data and of the result."""
        self._target = settings.output_format
        self._vmdk_types = frozenset(settings.vmdk_types)
        self._staging = staging
        self._formats = formats
        self._size_cap = size_cap
        self._qemu_img = QemuImg(settings.conversion_seconds)

    def of(self, run: Run, image: Image, source: ImportSource, staged: Path | None) -> tuple[ImportSource, str | None]:
        """Return the source of the converted data, and their ``disk_format``; None: nothing needs to be converted.

        ``staged`` is the file that ``source`` reads, if it reads one as it is. The result is checked as it is read.

        :raises SourceFailed: the source cannot be read, or the conversion is not possible now.
        :raises UnsupportedContent: the data cannot be converted.
        """
        if image.disk_format in {self._target, "iso"}:
            if image.container_format != "bare":
                return source, None
            return CheckedSource(source, self._inspection(image.disk_format, image)), None
        if image.container_format != "bare" or image.disk_format not in DRIVERS:
            raise UnsupportedContent(
                f"Data of disk_format {image.disk_format} and container_format {image.container_format} cannot be "
                f"converted to {self._target}."
            )
        try:
            converted = self._convert(run, image, image.disk_format, source, staged)
        except OSError as error:
            raise _failure(error) from error
        except (LimitExceeded, Unavailable) as error:
            raise SourceFailed(str(error)) from error
        source.close()
        return CheckedSource(converted, self._inspection(self._target, image)), self._target

    def sweep(self, run: Run) -> None:
        """Remove what earlier runs of the job have left on this node."""
        generations: list[int] = run.job.steps.get(_CONVERTING, [])
        for generation in generations:
            attempt = attempt_of(run.job, generation)
            remove(self._staging, run.job.image_id or "", attempt + _INPUT, attempt + _RESULT)

    def _inspection(self, disk_format: str | None, image: Image) -> ExactInspection:
        return ExactInspection(disk_format, self._formats, image.id)

    def _convert(
        self, run: Run, image: Image, disk_format: str, source: ImportSource, staged: Path | None
    ) -> FileSource:
        earlier: list[int] = run.job.steps.get(_CONVERTING, [])
        run.record(_CONVERTING, [*earlier, run.job.generation])
        attempt = attempt_of(run.job, run.job.generation)
        try:
            path = staged or self._staging.scratch(image.id, attempt + _INPUT)
            self._inspect(run, image, source, None if staged else path)
            self._check(run, path, disk_format)
            result = self._staging.scratch(image.id, attempt + _RESULT)
            room = self._size_cap if self._target == "raw" else self._size_cap + self._size_cap // _TABLES + (1 << 20)
            self._qemu_img.convert(path, disk_format, result, self._target, max_bytes=room, while_waiting=run.check)
            return FileSource(result, self._staging, image.id, attempt + _RESULT)
        except BaseException:
            remove(self._staging, image.id, attempt + _RESULT)
            raise
        finally:
            remove(self._staging, image.id, attempt + _INPUT)

    def _inspect(self, run: Run, image: Image, source: ImportSource, path: Path | None) -> None:
        """Read the source to its end, and write it to ``path`` if there is one.

        :raises SourceFailed: it cannot be read.
        :raises UnsupportedContent: the data are not what they must be.
        """
        inspection = self._inspection(image.disk_format, image)
        size = 0
        with open(os.devnull if path is None else path, "wb", buffering=0) as target:
            while (batch := source.next_batch()) is not None:
                size += len(batch)
                if size > self._size_cap:
                    raise UnsupportedContent(str(beyond_cap("image_size_cap", self._size_cap, size)))
                inspection.feed(batch)
                target.write(batch)
                run.progress(size, source.length)
        if source.length is not None and size != source.length:
            raise SourceFailed(f"The data end after {size} of {source.length} bytes.")
        inspection.finish(size)

    def _check(self, run: Run, path: Path, disk_format: str) -> None:
        """Ask ``qemu-img`` as well what it makes of the data.

        :raises UnsupportedContent: something else than content inspection, or what must not be converted.
        """
        info = self._qemu_img.info(path, run.check)
        # QEMU does not recognise a fixed VHD
        if info.driver != DRIVERS[disk_format] and not (disk_format == "vhd" and info.driver == "raw"):
            raise UnsupportedContent(f"The data are not {disk_format}: QEMU takes them for {info.driver}.")
        if info.refers:
            raise UnsupportedContent("The data refer to other files, so they cannot be converted.")
        if disk_format == "vmdk" and info.create_type not in self._vmdk_types:
            raise UnsupportedContent(
                f"VMDKs of the type {info.create_type} are not converted, only {', '.join(sorted(self._vmdk_types))}."
            )
        self._qemu_img.require_complete(path, disk_format, run.check)
        if self._target == "raw" and info.virtual_size > self._size_cap:
            raise UnsupportedContent(
                f"The disk in the data has {info.virtual_size} bytes; image_size_cap allows {self._size_cap}."
            )


def remove(staging: StagingArea, image_id: str, *attempts: str) -> None:
    """Remove unfinished data now if possible; otherwise the clean-up of the staging area does it."""
    for attempt in attempts:
        try:
            staging.sweep(image_id, attempt)
        except GlimpseError as error:
            LOG.warning("A file of the conversion of image %s is removed later: %s", image_id, error)


def _failure(error: OSError) -> SourceFailed:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return SourceFailed("The staging area has no space left for the data.")
    LOG.warning("A file of the staging area cannot be used: %s", error)
    return SourceFailed("The staging area cannot be used now.")
