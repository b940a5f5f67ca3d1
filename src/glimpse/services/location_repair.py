"""Repair of locations that older versions or other configurations wrote (imports-and-stores 4.5)."""

from __future__ import annotations

import logging

import msgspec

from glimpse.domain.image import Image, Location
from glimpse.errors import Unavailable
from glimpse.services.deps import Deps

LOG = logging.getLogger(__name__)


def with_locations_repaired(deps: Deps, image: Image, *, ask: bool = False) -> Image:
    """Return ``image`` with URIs in the current format and, with named stores, the serving store in the metadata of
    each location, if a configured store serves it.

    URIs, and metadata without a store, are changed in the database. A store that is not enabled here is kept: another
    site with the same database may have it. With ``ask`` this may wait for stores, which tell whose a location is.
    """
    stores, locations = deps.stores, image.locations
    if stores.repaired_schemes:
        locations = tuple(_rewritten(deps, image, one, ask=ask) for one in locations)
    if stores.named and not all(_store_of(one) in stores.weights for one in locations):
        locations = tuple(_named(deps, image, one) for one in locations)
    return image if locations == image.locations else msgspec.structs.replace(image, locations=locations)


def _rewritten(deps: Deps, image: Image, location: Location, *, ask: bool) -> Location:
    url = deps.stores.repaired(location, ask=ask)
    if url is None or location.id is None:
        return location
    try:
        if not deps.database.rewrite_location(image.id, location.id, location.url, url):
            return location
    except Unavailable:
        # reading must work while the database is read-only
        LOG.warning("The new URL of location %s could not be recorded", location.id, exc_info=True)
        return location
    LOG.info("Location %s of image %s was rewritten in the current format", location.id, image.id)
    return msgspec.structs.replace(location, url=url)


def _store_of(location: Location) -> str | None:
    store = location.metadata.get("store")
    return store if isinstance(store, str) else None


def _named(deps: Deps, image: Image, location: Location) -> Location:
    found = deps.stores.owner(location)
    if found is None or _store_of(location) == found:
        return location
    if "store" not in location.metadata and location.id is not None:
        try:
            deps.database.name_location_store(image.id, location.id, found)
        except Unavailable:
            # reading must work while the database is read-only
            LOG.warning("The store %s of location %s could not be recorded", found, location.id, exc_info=True)
    return msgspec.structs.replace(location, metadata={**location.metadata, "store": found})
