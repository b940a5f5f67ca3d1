"""The source of image data for reading: the stores, or a cache in front of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from glimpse.domain.image import Image, Location
from glimpse.errors import DataNotFound, GlimpseError, RangeNotSatisfiable, Refused, StoreUnavailable
from glimpse.stores.base import Reader, Store
from glimpse.stores.multi import StoreSet

LOG = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataFound:
    """An image that has data, and its locations in the order to try them; at least one."""

    image: Image
    locations: Sequence[Location]


class ImageSource(Protocol):
    """Opens the data of images. Callers have checked that they may be read.

    ``app.py`` builds the service's source; a cache implements this protocol in front of another source. Calls wait for
    stores and may run in any transfer thread.
    """

    def size(self, found: DataFound) -> int | None:
        """Return the size of the data in bytes; None if they can be read, but their size is unknown.

        :raises StoreUnavailable: no store can tell now, or the data of all locations are missing.
        """
        ...

    def open(self, found: DataFound, offset: int, length: int | None) -> Reader:
        """Open ``length`` bytes from ``offset``, within the size of the data; None: to the end.

        :raises StoreUnavailable: no location can be read now, or the data of all are missing.
        """
        ...


class StoredData:
    """The :class:`ImageSource` of the stores: the first location that answers."""

    def __init__(self, stores: StoreSet) -> None:
        self._stores = stores

    def size(self, found: DataFound) -> int | None:
        if found.image.size is not None:
            return found.image.size
        return self._first(found, lambda store, location: store.size(location.url))

    def open(self, found: DataFound, offset: int, length: int | None) -> Reader:
        def opened(store: Store, location: Location) -> Reader:
            try:
                return store.reader(location.url, offset, length)
            except RangeNotSatisfiable as error:
                # the range lies within the recorded size, so the object is too short
                raise StoreUnavailable(f"The data in store {store.id} are shorter than the recorded size.") from error

        return self._first(found, opened)

    def _first(self, found: DataFound, use: Callable[[Store, Location], T]) -> T:
        image = found.image
        failure: GlimpseError = StoreUnavailable(f"The data of image {image.id} are missing from their store.")
        for location in found.locations:
            try:
                return use(self._stores.for_location(location), location)
            except DataNotFound as error:
                LOG.error(  # noqa: TRY400 - the message is complete
                    "The data of image %s at location %s are missing: %s", image.id, location.id, error
                )
            except (StoreUnavailable, Refused) as error:
                LOG.warning("Image %s cannot be read at its location %s: %s", image.id, location.id, error)
                failure = error
        if isinstance(failure, Refused):
            # the location was accepted when it was added: the client who reads now made no mistake
            raise StoreUnavailable(str(failure)) from failure
        raise failure
