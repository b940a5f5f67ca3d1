"""Who may read the objects of an image in stores that check this themselves (store-formats 7.4).

Called after each change of visibility, owner, members or locations, for the objects that were written for the image,
never for one of another project whose location somebody added. As in Glance, a failure is logged and does not fail the
request: the service itself still decides about each request that it gets.
"""

from __future__ import annotations

import logging

from glimpse.db.base import Database
from glimpse.db.records import Viewer
from glimpse.domain.image import Image
from glimpse.domain.status import Visibility
from glimpse.errors import GlimpseError
from glimpse.stores.base import AccessLists, ability
from glimpse.stores.multi import StoreSet

LOG = logging.getLogger(__name__)

_EVERYBODY = Viewer(None, is_admin=True)
_OPEN = frozenset({Visibility.PUBLIC, Visibility.COMMUNITY})


def set_readers(database: Database, stores: StoreSet, image_id: str) -> None:
    """Update the access lists of an image in all its stores on this node that keep them; waits for these stores.

    Readers are everybody for public and community images, the members of a shared image, and otherwise nobody but the
    owner. The stores act for the caller of the request, or for the project of the job.
    """
    try:
        image = database.get_image(image_id, _EVERYBODY)
        readers = _readers(database, image)
    except GlimpseError as error:
        LOG.warning("The access lists of image %s could not be updated: %s", image_id, error)
        return
    for location in image.locations:
        owner = stores.owner(location)
        lists = None if owner is None else ability(stores.by_id(owner), AccessLists)
        if lists is None or location.url.rpartition("/")[2] != image.id:
            # an object with another name was there before the image: a client has added its location
            continue
        try:
            lists.set_readers(location.url, readers)
        except GlimpseError as error:
            LOG.warning("The access list of image %s in store %s could not be updated: %s", image.id, owner, error)


def _readers(database: Database, image: Image) -> list[str] | None:
    if image.visibility in _OPEN:
        return None
    if image.visibility is not Visibility.SHARED:
        return []
    return [member.member_id for member in database.list_members(image.id, _EVERYBODY)]
