"""Where the data of images come from when they are read: the stores that have them, or something in front of these."""

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
    """An image that has data, and its locations in the order in which they are to be tried; at least one."""

    image: Image
    locations: Sequence[Location]


class ImageSource(Protocol):
    """Opens the data of images, for callers that may read them.

    ``app.py`` builds the one of the service; a cache implements this in front of another. Calls wait for stores and may
    run in any thread of transfers.
    """

    def size(self, found: DataFound) -> int | None:
        """Bytes of the data; None if they can be read, but nobody can tell how many there are.

        :raises StoreUnavailable: nobody can tell now, or all locations have lost their data.
        """
        ...

    def open(self, found: DataFound, offset: int, length: int | None) -> Reader:
        """Open ``length`` bytes from ``offset``, within the size of the data; None: to the end.

        :raises StoreUnavailable: no location can be read now, or all have lost their data.
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
                # the range lies within the size, so the object is shorter than it must be
                raise StoreUnavailable(f"The data in store {store.id} are shorter than the recorded size.") from error

        return self._first(found, opened)

    def _first(self, found: DataFound, use: Callable[[Store, Location], T]) -> T:
        image = found.image
        failure: GlimpseError = StoreUnavailable(f"The data of image {image.id} are missing from their store.")
        for location in found.locations:
            try:
                return use(self._stores.for_location(location), location)
            except DataNotFound as error:
                LOG.error(  # noqa: TRY400 - the message says it all
                    "Image %s has lost its data at location %s: %s", image.id, location.id, error
                )
            except (StoreUnavailable, Refused) as error:
                LOG.warning("Image %s cannot be read at its location %s: %s", image.id, location.id, error)
                failure = error
        if isinstance(failure, Refused):
            # the location was accepted when it was added: no fault of the client who reads now
            raise StoreUnavailable(str(failure)) from failure
        raise failure
