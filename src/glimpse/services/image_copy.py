"""Reading the data of an image to copy them into further stores (imports-and-stores 2.13)."""

from __future__ import annotations

from collections.abc import Callable

from glimpse.db.base import Database
from glimpse.domain.image import Image
from glimpse.errors import DataNotFound
from glimpse.services.download import readable_locations
from glimpse.services.image_source import DataFound, StoredData
from glimpse.stores.base import Reader
from glimpse.stores.multi import StoreSet


def copies_of(database: Database, stores: StoreSet) -> Callable[[Image], Reader]:
    """Return what opens the data of an active image: its copy in the default store, then the others in their order.

    It raises DataNotFound for an image without locations, and the errors of :func:`readable_locations` and
    :meth:`ImageSource.open`.
    """
    source = StoredData(stores)

    def opened(image: Image) -> Reader:
        locations = readable_locations(database, image)
        if not locations:
            raise DataNotFound("The image has no data to copy.")
        first = [location for location in locations if stores.serving(location) == stores.default.id]
        others = [location for location in locations if location not in first]
        return source.open(DataFound(image, [*first, *others]), 0, image.size)

    return opened
