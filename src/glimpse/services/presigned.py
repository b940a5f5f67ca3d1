"""Presigned URLs: a client reads the data from the store itself, without its token (docs/adr/0022)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from glimpse.context import Context
from glimpse.errors import DataNotFound, Refused, StoreUnavailable
from glimpse.services.deps import Deps
from glimpse.services.image_source import DataFound
from glimpse.stores.base import Presigning, ability

LOG = logging.getLogger(__name__)

RULE = "get_image_presigned_url"


@dataclass(frozen=True, slots=True)
class PresignedUrl:
    """A URL that gives everybody who has it access to the data until ``expires_at``; a secret."""

    url: str
    expires_at: datetime


def presigned_url(deps: Deps, context: Context, found: DataFound, seconds: int) -> PresignedUrl | None:
    """Return a URL for the first copy of an image whose store can sign one; waits for stores.

    ``found`` has the locations that the caller may read; their data are verified. None: no store can sign a URL, or the
    policy ``get_image_presigned_url`` refuses; the caller gets the data instead.
    """
    if not deps.policy.allows_image(context, RULE, found.image):
        return None
    for location in found.locations:
        store_id = deps.stores.owner(location)
        signs = None if store_id is None else ability(deps.stores.by_id(store_id), Presigning)
        if signs is None:
            continue
        # counted from before the signature, so that the URL lives at least as long
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        try:
            url = signs.presigned_url(location.url, seconds)
        except (DataNotFound, Refused, StoreUnavailable) as error:
            LOG.warning("Image %s has no presigned URL in store %s: %s", found.image.id, store_id, error)
            continue
        if url is not None:
            LOG.info("Issued a URL of image %s in store %s, valid for %d s", found.image.id, store_id, seconds)
            return PresignedUrl(url, expires_at)
    return None
