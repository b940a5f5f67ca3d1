"""A staging area in an object store: a bucket, container or pool that holds nothing else.

The object of an image has the image's id as its name, as in a store of images. So nodes need no shared directory, and
the driver's own guarantees hold: data are invisible until they are committed, and a swept attempt cannot commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from glimpse.errors import DataNotFound, Duplicate
from glimpse.staging.base import is_image_id
from glimpse.staging.directory import DirectoryStaging
from glimpse.stores.base import Addressed, Listing, Prefixed, Reader, Store, StoreMisconfigured, Writer, ability
from glimpse.stores.multi import StoreSet


class ObjectStaging:
    """Implements ``staging.base.StagingArea`` with a store that no image uses.

    Files of programs are in a local directory.
    """

    def __init__(self, store: Store, local: DirectoryStaging) -> None:
        """``local`` is for :meth:`scratch`.

        :raises StoreMisconfigured: the store lacks an ability that staging needs.
        """
        self._store = store
        self._local = local
        addressed, listing = ability(store, Addressed), ability(store, Listing)
        if addressed is None or listing is None:
            raise StoreMisconfigured(store.id, "data cannot be staged in a store of this kind")
        self._url_of = addressed.url_of
        self._objects = listing.objects

    def writer(self, image_id: str, attempt: str) -> Writer:
        """See :meth:`glimpse.staging.base.StagingArea.writer`."""
        return self._store.writer(image_id, None, attempt)

    def fresh_writer(self, image_id: str, attempt: str) -> Writer:
        """See :meth:`glimpse.staging.base.StagingArea.fresh_writer`; a bucket may not exist before the first writer."""
        try:
            return self.writer(image_id, attempt)
        except Duplicate:
            self.remove(image_id)
            return self.writer(image_id, attempt)

    def size(self, image_id: str) -> int | None:
        """See :meth:`glimpse.staging.base.StagingArea.size`."""
        if not is_image_id(image_id):
            return None
        try:
            return self._store.size(self._url_of(image_id))
        except DataNotFound:
            return None

    def reader(self, image_id: str) -> Reader:
        """See :meth:`glimpse.staging.base.StagingArea.reader`."""
        if not is_image_id(image_id):
            raise DataNotFound(f"No data are staged for image {image_id}.")
        return self._store.reader(self._url_of(image_id))

    def path(self, image_id: str) -> Path | None:  # noqa: ARG002 - objects have none
        """Return None: the data are not in a local file."""
        return None

    def scratch(self, image_id: str, attempt: str) -> Path:
        """See :meth:`glimpse.staging.base.StagingArea.scratch`; the file is in the directory of this node."""
        return self._local.scratch(image_id, attempt)

    def remove(self, image_id: str) -> bool:
        """Remove the complete data of an image. A writer that is still alive notices the deletion of its image; the
        recovery of its job, or the clean-up, removes what a dead one has left.
        """
        if not is_image_id(image_id):
            return False
        found = self._local.remove(image_id)
        with suppress(DataNotFound):
            self._store.delete(self._url_of(image_id))
            return True
        return found

    def sweep(self, image_id: str, attempt: str) -> bool:
        """See :meth:`glimpse.staging.base.StagingArea.sweep`; data that the attempt has committed are removed too."""
        found = self._local.sweep(image_id, attempt)
        return self._store.sweep(image_id, attempt) or found

    def images(self) -> Iterator[tuple[str, float]]:
        """Yield the ids of the images with complete data, and the time when these were written."""
        for found in self._objects():
            if found.url is not None and is_image_id(found.image_id):
                yield found.image_id, found.modified_at

    def unfinished(self) -> Iterator[tuple[str, str, float]]:
        """See :meth:`glimpse.staging.base.StagingArea.unfinished`; the time may be that of the first byte."""
        yield from self._local.unfinished()
        for found in self._objects():
            if found.attempt is not None and is_image_id(found.image_id):
                yield found.image_id, found.attempt, found.modified_at

    def close(self) -> None:
        """See :meth:`glimpse.staging.base.StagingArea.close`."""
        self._store.close()


def require_apart(area: Store, images: StoreSet) -> None:
    """Check that staged data and images are kept apart: they have the same names.

    :raises StoreMisconfigured: the staging area is the bucket, container or pool of a store of images, or may be,
        because the id of a Ceph cluster is not known.
    """
    own = _places(area)
    for store_id in images.ids():
        store = images.by_id(store_id)
        others = _places(store)
        if any(place.startswith(other) or other.startswith(place) for place in own for other in others):
            raise StoreMisconfigured(area.id, f"it is the place of store {store_id}; staged data need one of their own")
        if store.scheme == area.scheme and ability(store, Addressed) is not None and not (own and others):
            raise StoreMisconfigured(
                area.id, f"it may be the place of store {store_id}; write fsid into Ceph's configuration file"
            )


def _places(store: Store) -> tuple[str, ...]:
    """Return the prefixes of the URIs of a store without schemes and credentials."""
    prefixed = ability(store, Prefixed)
    urls = () if prefixed is None else prefixed.url_prefixes
    return tuple(url.partition("://")[2].rpartition("@")[2] for url in urls)
