"""The plugins of imports, in the order that is configured: what becomes of the data and of the image before the data
are stored (imports-and-stores 2.16).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from glimpse.domain.image import Image
from glimpse.domain.job_kinds import ImageImportInput, input_of
from glimpse.domain.properties import INTERNAL_PREFIX
from glimpse.errors import Invalid, SizeMismatch, UnsupportedContent
from glimpse.jobs.base import Run
from glimpse.jobs.steps.conversion import Conversion
from glimpse.jobs.steps.decompressed_source import DecompressedSource
from glimpse.jobs.steps.import_failures import ImportFailed
from glimpse.jobs.steps.import_plan import Plan
from glimpse.jobs.steps.import_source import ImportSource
from glimpse.settings.model import Formats
from glimpse.settings.model import ImportPlugins as PluginSettings
from glimpse.staging.base import StagingArea


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """The data as they are to be stored.

    ``image`` has the formats that they have, and no size if that is unknown. ``columns`` and ``properties`` are what
    the source and the plugins change of the image. ``takes_over``: the formats that it had do not matter.
    """

    source: ImportSource
    image: Image
    columns: dict[str, str] = {}
    properties: dict[str, str | None] = {}
    takes_over: bool = False


class ImportPlugins:
    """Shared by threads."""

    def __init__(self, settings: PluginSettings, staging: StagingArea, formats: Formats, size_cap: int) -> None:
        """``size_cap`` is the maximum of bytes of an image."""
        self._settings = settings
        self._staging = staging
        self._size_cap = size_cap
        self._conversion = Conversion(settings, staging, formats, size_cap)
        self._ignored_roles = frozenset(role.lower() for role in settings.ignore_user_roles)

    def prepare(self, run: Run, plan: Plan, image: Image, source: ImportSource) -> Prepared:
        """Run all plugins on what ``source`` reads. Whoever calls this closes the source that it returns.

        :raises SourceFailed: the source cannot be read.
        :raises ImportFailed: a plugin refuses the data.
        """
        prepared = _taken_over(source, image)
        if plan.copies or not self._settings.names:
            return prepared
        staged = self._staging.path(image.id) if plan.is_staged else None
        try:
            _check_size(image, source)
            for name in self._settings.names:
                if name == "image_decompression":
                    prepared = self._decompress(run, prepared)
                elif name == "image_conversion":
                    # the staged file, unless it is to be unpacked
                    file = staged if prepared.source is source else None
                    prepared = self._convert(run, prepared, file)
                elif name == "inject_image_metadata":
                    prepared = self._inject(run, prepared)
        except (UnsupportedContent, Invalid) as error:
            prepared.source.close()
            raise ImportFailed(str(error), discards=True) from error
        except BaseException:
            prepared.source.close()
            raise
        return prepared

    def sweep(self, run: Run) -> None:
        """Remove what earlier runs of the job have left on this node."""
        self._conversion.sweep(run)

    def _decompress(self, run: Run, prepared: Prepared) -> Prepared:
        image = prepared.image
        if image.container_format == "compressed":
            return prepared
        source = DecompressedSource(prepared.source, self._size_cap, run, self._settings.conversion_seconds)
        if source.unpacks:
            image = msgspec.structs.replace(image, size=None)
        return msgspec.structs.replace(prepared, source=source, image=image)

    def _convert(self, run: Run, prepared: Prepared, staged: Path | None) -> Prepared:
        source, disk_format = self._conversion.of(run, prepared.image, prepared.source, staged)
        if disk_format is None:
            return msgspec.structs.replace(prepared, source=source)
        formats = {"disk_format": disk_format, "container_format": "bare"}
        image = msgspec.structs.replace(prepared.image, size=None, **formats)
        return msgspec.structs.replace(prepared, source=source, image=image, columns=formats)

    def _inject(self, run: Run, prepared: Prepared) -> Prepared:
        given: ImageImportInput = input_of(run.job)
        if not self._ignored_roles.isdisjoint(given.roles):
            return prepared
        properties = {
            name: value for name, value in self._settings.inject.items() if not name.startswith(INTERNAL_PREFIX)
        }
        return msgspec.structs.replace(prepared, properties={**prepared.properties, **properties})


def _check_size(image: Image, source: ImportSource) -> None:
    """:raises SizeMismatch: the source has other data than the image is known to have."""
    if image.size is not None and source.length is not None and image.size != source.length:
        raise SizeMismatch(image.size, source.length)


def _taken_over(source: ImportSource, image: Image) -> Prepared:
    """Begin with what the image takes over from an image of another service (imports-and-stores 2.12)."""
    remote = source.remote
    if remote is None:
        return Prepared(source=source, image=image)
    formats = {"disk_format": remote.disk_format, "container_format": remote.container_format}
    return Prepared(
        source=source,
        image=msgspec.structs.replace(image, **formats),
        columns=formats,
        properties={**remote.properties},
        takes_over=True,
    )
