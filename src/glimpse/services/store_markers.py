"""At start: whether the places of the stores are those that have the images which the database records."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from glimpse.db.base import Database
from glimpse.db.records import Viewer
from glimpse.domain.listing import Comparison, ListQuery
from glimpse.errors import Unavailable
from glimpse.stores.base import MarkedStore, ability
from glimpse.stores.multi import StoreSet
from glimpse.stores.timed_calls import START_SECONDS, within

LOG = logging.getLogger(__name__)

#: The newest active images are looked at, where a place has no marker yet.
SAMPLE = 1000


def check_markers(stores: StoreSet, database: Database) -> None:
    """Have every store that can do it look for its markers."""

    def recorded(beginning: str) -> Sequence[str]:
        query = ListQuery(visibility="all", comparisons=(Comparison("status", "eq", "active"),), limit=SAMPLE)
        images = database.list_images(query, Viewer(None, is_admin=True))
        return [location.url for image in images for location in image.locations if location.url.startswith(beginning)]

    for store_id in stores.ids():
        marked = ability(stores.by_id(store_id), MarkedStore)
        if marked is not None:
            try:
                within(START_SECONDS, partial(marked.check_markers, recorded), f"Store {store_id}")
            except Unavailable as error:
                LOG.warning("Store %s: its markers could not be checked: %s", store_id, error)
