"""Stores of files in a test's directory, and further copies of images in them."""

from __future__ import annotations

from pathlib import Path

from glimpse.domain.image import ImageChange, Location
from glimpse.settings.model import StoreSettings
from glimpse.stores.filesystem.options import FilesystemOptions
from tests.support.wire import Wire


def file_store(directory: Path, store_id: str, weight: int = 0) -> StoreSettings:
    """A store whose files are in ``directory / store_id``."""
    options = FilesystemOptions(filesystem_store_datadir=str(directory / store_id))
    return StoreSettings(id=store_id, kind="file", options=options, weight=weight)


def add_copy(wire: Wire, image_id: str, store_id: str, data: bytes) -> None:
    """Write ``data`` to a store and add their location to an image."""
    writer = wire.service.deps.stores.by_id(store_id).writer(image_id, len(data), "copy")
    writer.write(data)
    location = Location(url=writer.commit().url, metadata={"store": store_id})
    wire.service.deps.database.update_image(image_id, ImageChange(add_locations=(location,)))
