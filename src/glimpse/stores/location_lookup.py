"""An address that a client gives as a location: which store serves it, and what is there (images-api 3.5.4)."""

from __future__ import annotations

from glimpse.domain.image import Location
from glimpse.domain.locations import Placement
from glimpse.errors import DataNotFound, Invalid, LimitExceeded, Refused, StoreUnavailable
from glimpse.stores.argument_checks import split_url
from glimpse.stores.base import Store
from glimpse.stores.multi import StoreSet

#: Schemes that clients may never use: files of the host, and names of credentials in its configuration.
REFUSED_SCHEMES = frozenset({"file", "filesystem", "swift+config"})


def store_of(stores: StoreSet, url: str) -> Store:
    """The store that serves an address of a client.

    :raises Invalid: the address is no location, or of a kind that clients may not use, or no store serves it.
    """
    scheme, _ = split_url(url)
    if scheme in REFUSED_SCHEMES:
        raise Invalid(f"Locations of the scheme {scheme} cannot be added.")
    try:
        return stores.for_location(Location(url=url))
    except StoreUnavailable as error:
        raise Invalid(str(error)) from error


def place(stores: StoreSet, url: str, *, size_cap: int) -> Placement:
    """What the store of an address says about it; ``size_cap`` is the largest size of an image, in bytes.

    :raises Invalid: see :func:`store_of`; or the store refuses the address, or has no data there.
    :raises LimitExceeded: there are more bytes than an image may have.
    :raises StoreUnavailable: the store does not work now.
    """
    store = store_of(stores, url)
    try:
        size = store.size(url)
    except DataNotFound as error:
        raise Invalid("There are no data at the location.") from error
    except Refused as error:
        raise Invalid(str(error)) from error
    if size is None:
        raise Invalid("The server of the location does not say how long the data are; an image needs its size.")
    if size == 0:
        raise Invalid("The data at the location are empty.")
    if size > size_cap:
        raise LimitExceeded(f"The data have {size} bytes, image_size_cap allows {size_cap}.")
    return Placement(size, {"store": store.id} if stores.named else {})
