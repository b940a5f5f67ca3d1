"""Which locations of an image data are served from.

A location that a client added names data that somebody else keeps, and can exchange. Until a job has read them to
their end, inspected them and compared them with the digest of the image, nobody gets them from here (docs/adr/0013).
"""

from __future__ import annotations

from collections.abc import Sequence

from glimpse.db.base_locations import LocationDatabase
from glimpse.domain.image import Image, Location
from glimpse.domain.status import Status
from glimpse.errors import Forbidden, Unavailable
from glimpse.stores.location_lookup import REFUSED_SCHEMES

_WITH_DATA = (Status.ACTIVE, Status.DEACTIVATED)


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
