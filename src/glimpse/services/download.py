"""Bytes out of an image (images-api 4.4).

What the database and the policy say comes first, in a thread for metadata; opening a store, which may take long, is a
step of its own for other threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from glimpse.context import Context
from glimpse.db.base_records import Viewer
from glimpse.domain.image import Image, Location
from glimpse.domain.status import Status
from glimpse.errors import (
    DataNotFound,
    Forbidden,
    GlimpseError,
    RangeNotSatisfiable,
    Refused,
    StoreUnavailable,
)
from glimpse.notify import events
from glimpse.services.deps import Deps
from glimpse.services.readable_locations import readable_locations
from glimpse.stores.base import Reader, Store
from glimpse.stores.multi import StoreSet
from glimpse.transfer.ranges import ByteRange

LOG = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataFound:
    """An image that has data, and its locations in the order in which they are to be tried; at least one."""

    image: Image
    locations: Sequence[Location]


@dataclass(frozen=True, slots=True)
class Download:
    """Data that are ready to be sent: ``size`` in bytes of the whole, ``range`` the part asked for or None.

    A ``size`` of None is unknown: the data are sent to their end, and have no ranges.
    """

    image: Image
    size: int | None
    range: ByteRange | None
    reader: Reader


#: From the size in bytes to the part that is wanted, None for the whole.
RangeOf = Callable[[int], ByteRange | None]


def find_data(deps: Deps, context: Context, image_id: str, prefer: Sequence[str] = ()) -> DataFound | None:
    """Where the data of an image are, or None when it never had any. No store is asked.

    Locations come in the order of their stores' weights, those in the stores of ``prefer`` before the others.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``download_image``, or the image is deactivated, or a store is preferred against policy
        ``download_from_store``.
    :raises Invalid: a store of ``prefer`` does not exist, or there are no named stores.
    :raises Unavailable, Forbidden: the data are not checked yet, or were refused; see
        :func:`glimpse.services.readable_locations.readable_locations`.
    """
    image = deps.database.get_image(image_id, Viewer(context.project_id, context.is_admin))
    if image.status is Status.DEACTIVATED and not context.is_admin:
        # who may not see the image learns nothing of it
        deps.policy.require_image(context, "get_image", image)
        raise Forbidden(f"Image {image.id} is deactivated; its data cannot be downloaded.")
    deps.policy.require_image(context, "download_image", image)
    if prefer:
        deps.policy.require_image(context, "download_from_store", image)
        deps.stores.check_preferred(prefer)
    if image.status is Status.QUEUED:
        # what it may have is the location of an import whose data were found to be others (imports-and-stores 5.4)
        return None
    locations = deps.stores.in_order(readable_locations(deps.database, image), prefer)
    return DataFound(image, locations) if locations else None


def open_data(stores: StoreSet, found: DataFound, range_of: RangeOf) -> Download:
    """Open the first location that can be opened; this waits for its store.

    Where neither the image nor the store knows the size, no range can be, and the whole is opened.

    :raises Invalid: several ranges.
    :raises RangeNotSatisfiable: the range lies outside the data.
    :raises StoreUnavailable: no location can be read now, or all have lost their data.
    """

    def opened(store: Store, location: Location) -> Download:
        size = _size(store, found.image, location)
        if size is None:
            return Download(found.image, None, None, store.reader(location.url))
        wanted = range_of(size)
        start, length = (wanted.start, wanted.length) if wanted else (0, size)
        try:
            reader = store.reader(location.url, start, length)
        except RangeNotSatisfiable as error:
            # the range lies within the recorded size, so the object is shorter than it must be
            raise StoreUnavailable(
                f"The data in store {store.id} are shorter than the recorded size of {size} bytes."
            ) from error
        return Download(found.image, size, wanted, reader)

    return _first(stores, found, opened)


def data_size(stores: StoreSet, found: DataFound) -> int | None:
    """The size of the data in bytes; only when the image does not say it, a store is asked and waited for.

    None if the store cannot tell either.

    :raises StoreUnavailable: no store can tell it now, or all have lost the data.
    """
    known = found.image.size
    return (
        _first(stores, found, lambda store, location: _size(store, found.image, location)) if known is None else known
    )


def source_of(stores: StoreSet, location: Location) -> str:
    """Who is waited for when a location is read: its store, and on the web its server, too."""
    store_id = stores.serving(location) or ""
    web = location.url.startswith(("http://", "https://"))
    return f"{store_id} {urlsplit(location.url).netloc.rpartition('@')[2].lower()}" if web else store_id


def record_download(deps: Deps, context: Context, download: Download, sent: int) -> None:
    """Tell of data that were sent to their end, or that the store failed to give: ``sent`` is how many bytes went out.

    Not of a client that went away (configuration 11.5).
    """
    if deps.notifier is not None:
        events.download_ended(deps.notifier, context, download.image, sent=sent, expected=download.reader.length)


def _first(stores: StoreSet, found: DataFound, use: Callable[[Store, Location], T]) -> T:
    image = found.image
    failure: GlimpseError = StoreUnavailable(f"The data of image {image.id} are missing from their store.")
    for location in found.locations:
        try:
            return use(stores.for_location(location), location)
        except DataNotFound as error:
            LOG.error("Image %s has lost its data at location %s: %s", image.id, location.id, error)  # noqa: TRY400
        except (StoreUnavailable, Refused) as error:
            LOG.warning("Image %s cannot be read at its location %s: %s", image.id, location.id, error)
            failure = error
    if isinstance(failure, Refused):
        # the location was accepted when it was added: no fault of the client who reads now
        raise StoreUnavailable(str(failure)) from failure
    raise failure


def _size(store: Store, image: Image, location: Location) -> int | None:
    return store.size(location.url) if image.size is None else image.size
