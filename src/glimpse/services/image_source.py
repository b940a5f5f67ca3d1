"""The source of image data for reading: the stores, or a cache in front of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from glimpse.domain.image import Image, Location
from glimpse.errors import (
    DataNotFound,
    ForeignLocation,
    GlimpseError,
    RangeNotSatisfiable,
    Refused,
    StoreUnavailable,
)
from glimpse.services.failover import FailoverReader
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


#: Called with the id of the store whose copy failed, and ``open`` or ``read``; another copy is tried then.
OnFailover = Callable[[str, str], None]


def _ignore(_store: str, _moment: str) -> None:
    """Without metrics."""


class StoredData:
    """The :class:`ImageSource` of the stores: the first copy that answers, and the next ones if it fails."""

    def __init__(self, stores: StoreSet, on_failover: OnFailover = _ignore) -> None:
        self._stores = stores
        self.on_failover = on_failover

    def size(self, found: DataFound) -> int | None:
        if found.image.size is not None:
            return found.image.size
        return _Copies(self._stores, found, self.on_failover).first(lambda store, location: store.size(location.url))

    def open(self, found: DataFound, offset: int, length: int | None) -> Reader:
        copies = _Copies(self._stores, found, self.on_failover)

        def opened(store: Store, location: Location) -> Reader:
            return _reader(store, location, offset, length)

        reader = copies.first(opened)
        if copies.exhausted:
            return reader
        whole = reader.length

        def go_on(delivered: int, failure: StoreUnavailable) -> Reader:
            rest = None if whole is None else whole - delivered

            def reopened(store: Store, location: Location) -> Reader:
                _require_equal(store, location, found.image.size)
                return _reader(store, location, offset + delivered, rest)

            LOG.warning("Reading image %s failed after %d bytes: %s", found.image.id, delivered, failure)
            return copies.first(reopened, after=failure)

        return FailoverReader(reader, go_on)


class _Copies:
    """The copies of an image in the order to try them, each once."""

    def __init__(self, stores: StoreSet, found: DataFound, on_failover: OnFailover) -> None:
        self._stores = stores
        self._found = found
        self._on_failover = on_failover
        self._left = list(found.locations)
        self._current = ""

    @property
    def exhausted(self) -> bool:
        """Whether no copy is left to try."""
        return not self._left

    def first(self, use: Callable[[Store, Location], T], after: StoreUnavailable | None = None) -> T:
        """Return the result of ``use`` for the next copy for which it succeeds.

        ``after`` is the failure of the copy that was read before; None for the first.

        :raises StoreUnavailable: ``use`` fails for every copy; the error is ``after`` unless that is None.
        """
        image = self._found.image
        missing = StoreUnavailable(f"The data of image {image.id} are missing from their store.")
        failure: GlimpseError = after or missing
        if after is not None and self._left:
            self._on_failover(self._current, "read")
        while self._left:
            location = self._left.pop(0)
            try:
                return self._at(location, use)
            except DataNotFound as error:
                LOG.error(  # noqa: TRY400 - the message is complete
                    "The data of image %s at location %s are missing: %s", image.id, location.id, error
                )
            except (StoreUnavailable, Refused) as error:
                LOG.warning("Image %s cannot be read at its location %s: %s", image.id, location.id, error)
                failure = after or error
            if self._left:
                self._on_failover(self._current, "open")
        if isinstance(failure, Refused):
            # the location was accepted when it was added: the client who reads now made no mistake
            raise StoreUnavailable(str(failure)) from failure
        raise failure

    def _at(self, location: Location, use: Callable[[Store, Location], T]) -> T:
        """Use a location in the first of its stores that has the object (store-formats 3)."""
        failure: GlimpseError | None = None
        for store in self._stores.candidates(location):
            self._current = store.id
            try:
                return use(store, location)
            except (DataNotFound, ForeignLocation) as error:
                failure = failure or error
            except StoreUnavailable as error:
                # it may have the object: if no other store has it, the location is unavailable and not missing
                failure = error
        raise failure or StoreUnavailable("No configured store serves this location.")


def _reader(store: Store, location: Location, offset: int, length: int | None) -> Reader:
    try:
        return store.reader(location.url, offset, length)
    except RangeNotSatisfiable as error:
        # the range lies within the recorded size, so the object is too short
        raise StoreUnavailable(f"The data in store {store.id} are shorter than the recorded size.") from error


def _require_equal(store: Store, location: Location, size: int | None) -> None:
    """:raises StoreUnavailable: the copy has another size than the image, so its bytes may be others too."""
    found = store.size(location.url)
    if found is not None and size is not None and found != size:
        raise StoreUnavailable(f"The copy in store {store.id} has {found} bytes, the image has {size}.")
