"""Bytes out of an image (images-api 4.4).

What the database and the policy say comes first, in a thread for metadata; opening a store, which may take long, is a
step of its own for other threads.

A location that a client added names data that somebody else keeps, and can exchange. Until a job has read them to
their end, inspected them and compared them with the digest of the image, nobody gets them from here (docs/adr/0013).
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
from glimpse.stores.base import Reader
from glimpse.stores.multi import REFUSED_SCHEMES, StoreSet
from glimpse.transfer.ranges import ByteRange


@dataclass(frozen=True, slots=True)
class Download:
    """Data that are ready to be sent: ``size`` in bytes of the whole, ``range`` the part asked for or None.

    A ``size`` of None is unknown: the data are sent to their end, and have no ranges.
    """

    image: Image
    size: int | None
    range: ByteRange | None
    reader: Reader


_WITH_DATA = (Status.ACTIVE, Status.DEACTIVATED)

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
        :func:`readable_locations`.
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


def readable_locations(database: LocationDatabase, image: Image) -> Sequence[Location]:
    """The locations of ``image`` whose data are known to be its own, in the order of the image.

    Locations that Glance recorded, and those of data that the service has written itself, always are. The database is
    not asked about locations of schemes that clients cannot add.

    :raises Unavailable: the data of all its locations are still being checked.
    :raises Forbidden: the check refused them all; the text says why.
    """
    if all(location.url.partition("://")[0].lower() in REFUSED_SCHEMES for location in image.locations):
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
    """Open the data, or the part of them that is asked for; this waits for a store.

    Where neither the image nor the store knows the size, no range can be, and the whole is opened.

    :raises Invalid: several ranges.
    :raises RangeNotSatisfiable: the range lies outside the data.
    :raises StoreUnavailable: no location can be read now, or all have lost their data.
    """
    size = source.size(found)
    if size is None:
        return Download(found.image, None, None, source.open(found, 0, None))
    wanted = range_of(size)
    start, length = (wanted.start, wanted.length) if wanted else (0, size)
    return Download(found.image, size, wanted, source.open(found, start, length))


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
