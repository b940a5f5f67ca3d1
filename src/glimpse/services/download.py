"""Downloading the data of an image (images-api 4.4).

Database and policy are asked first, in a metadata thread; opening a store, which may take long, is a separate step for
other threads.

A location that a client added refers to data that a third party keeps and can exchange. They cannot be downloaded
until a job has read them completely, inspected them and compared them with the digest of the image (docs/adr/0013).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from glimpse.context import Context
from glimpse.db.base import LocationDatabase
from glimpse.db.records import Viewer
from glimpse.domain.image import Image, Location
from glimpse.domain.status import Status
from glimpse.errors import Forbidden, Unavailable
from glimpse.notify import events
from glimpse.services.deps import Deps
from glimpse.services.image_source import DataFound, ImageSource
from glimpse.stores.all import PRIVATE_SCHEMES
from glimpse.stores.base import Reader
from glimpse.stores.multi import StoreSet
from glimpse.transfer.ranges import ByteRange


@dataclass(frozen=True, slots=True)
class Download:
    """Data that are ready to be sent: ``size`` of the whole in bytes, ``range`` the requested part or None.

    A ``size`` of None is unknown: the data are sent to their end, and ranges are not supported.
    """

    image: Image
    size: int | None
    range: ByteRange | None
    reader: Reader


_WITH_DATA = (Status.ACTIVE, Status.DEACTIVATED)

#: Takes the size in bytes and returns the requested part, None for the whole.
RangeOf = Callable[[int], ByteRange | None]


def find_data(deps: Deps, context: Context, image_id: str, prefer: Sequence[str] = ()) -> DataFound | None:
    """Return where the data of an image are, or None if it never had any. No store is asked.

    Locations are ordered by the weights of their stores, those in the stores of ``prefer`` before the others.

    :raises NotFound: unknown or invisible image.
    :raises Forbidden: policy ``download_image``, or the image is deactivated, or a store is preferred against policy
        ``download_from_store``.
    :raises Invalid: a store of ``prefer`` does not exist, or there are no named stores.
    :raises Unavailable, Forbidden: the data are not checked yet, or were refused; see
        :func:`readable_locations`.
    """
    image = deps.database.get_image(image_id, Viewer(context.project_id, context.is_admin))
    if image.status is Status.DEACTIVATED and not context.is_admin:
        # a caller who may not see the image learns nothing about it
        deps.policy.require_image(context, "get_image", image)
        raise Forbidden(f"Image {image.id} is deactivated; its data cannot be downloaded.")
    deps.policy.require_image(context, "download_image", image)
    if prefer:
        deps.policy.require_image(context, "download_from_store", image)
        deps.stores.check_preferred(prefer)
    if image.status is Status.QUEUED:
        # it may have a location from an import whose data failed the digest check (imports-and-stores 5.4)
        return None
    locations = deps.stores.in_order(readable_locations(deps.database, image), prefer)
    return DataFound(image, locations) if locations else None


def readable_locations(database: LocationDatabase, image: Image) -> Sequence[Location]:
    """Return the verified locations of ``image``, in the order of the image.

    Locations that Glance recorded, and those of data that the service wrote itself, count as verified. The database is
    not asked about locations of schemes that clients cannot add.

    :raises Unavailable: the data of all locations are still being checked.
    :raises Forbidden: the check refused all of them; the message says why.
    """
    if all(location.url.partition("://")[0].lower() in PRIVATE_SCHEMES for location in image.locations):
        return image.locations
    unverified = database.unverified_locations(image.id)
    if not unverified:
        return image.locations
    readable = tuple(location for location in image.locations if location.id not in unverified)
    if readable or image.status not in _WITH_DATA:
        return readable
    refusals = [unverified[location.id] for location in image.locations if location.id in unverified]
    if None in refusals:
        raise Unavailable(f"The data of image {image.id} are still being checked; try again later.")
    raise Forbidden(f"The data of image {image.id} were refused: {refusals[0]}")


def open_data(source: ImageSource, found: DataFound, range_of: RangeOf) -> Download:
    """Open the data, or the requested part of them; this waits for a store.

    If neither the image nor the store knows the size, ranges are not supported and the whole is opened.

    :raises Invalid: several ranges.
    :raises RangeNotSatisfiable: the range lies outside the data.
    :raises StoreUnavailable: no location can be read now, or the data of all are missing.
    """
    size = source.size(found)
    if size is None:
        return Download(found.image, None, None, source.open(found, 0, None))
    wanted = range_of(size)
    start, length = (wanted.start, wanted.length) if wanted else (0, size)
    return Download(found.image, size, wanted, source.open(found, start, length))


def source_of(stores: StoreSet, location: Location) -> str:
    """Return a name for what a read of the location waits for: its store, and the server if it is on the web."""
    store_id = stores.serving(location) or ""
    web = location.url.startswith(("http://", "https://"))
    return f"{store_id} {urlsplit(location.url).netloc.rpartition('@')[2].lower()}" if web else store_id


def record_download(deps: Deps, context: Context, download: Download, sent: int) -> None:
    """Send the notification of a download that was complete or that the store broke off; ``sent`` is in bytes.

    Not called if the client disconnected (configuration 11.5).
    """
    if deps.notifier is not None:
        events.download_ended(deps.notifier, context, download.image, sent=sent, expected=download.reader.length)
