"""The URIs of volumes, and the metadata that mark the volumes of images (store-formats 9.1, 9.2)."""

from __future__ import annotations

import re

from glimpse.errors import ForeignLocation
from glimpse.stores.argument_checks import after_scheme
from glimpse.stores.cinder.options import SCHEMES

#: The id of a store without a name, which writes URIs without a store id.
UNNAMED = "default"

_is_volume_id = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch

#: Metadata of the volume of an image, which Glance writes and Cinder reads.
IMAGE_ID = "glance_image_id"
IMAGE_SIZE = "image_size"
IMAGE_OWNER = "image_owner"
#: Metadata of Glimpse: the attempt that wrote the volume, and its state until it is committed.
ATTEMPT = "glimpse_attempt"
STATE = "glimpse_state"
WRITING = "writing"
COMMITTING = "committing"

GIB = 1 << 30


def prefix(store_id: str) -> str:
    """Return how the locations of a store begin."""
    return "cinder://" if store_id == UNNAMED else f"cinder://{store_id}/"


def volume_of(url: str, store_id: str) -> str:
    """Return the id of the volume at a location, with or without a store id.

    :raises ForeignLocation: the URI does not belong to the store, or names no volume.
    """
    store, slash, volume = after_scheme(url, SCHEMES, store_id).rpartition("/")
    if slash and store != store_id:
        raise ForeignLocation(f"The location does not belong to store {store_id}.")
    if not _is_volume_id(volume):
        raise ForeignLocation("A location of Cinder must end with the id of a volume.")
    return volume


def without_store(url: str) -> bool:
    """Whether a location has no store id, so that the volume type decides about the store (store-formats 9.5)."""
    return "/" not in url.strip().partition("://")[2]


def volume_name(image_id: str) -> str:
    """Return the name of the volume of an image."""
    return f"image-{image_id}"


def gibibytes(size: int) -> int:
    """Return the least size of a volume for ``size`` bytes, in GiB."""
    return max(1, -(-size // GIB))
