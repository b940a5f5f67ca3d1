"""Bringing operations of dead processes to an end (ARCHITECTURE.md, Data safety, rule 4).

An upload is reverted: its data leave the store, the image is queued again and says why. A deletion is
carried out: whoever asked for it wanted the data gone. Each step may be repeated, so a recovery that dies itself
is recovered in turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from glimpse.db.base import Database
from glimpse.db.base_records import Lease
from glimpse.domain.image import Image, Location
from glimpse.errors import DataInUse, DataNotFound, Forbidden, GlimpseError, NotFound
from glimpse.jobs.leases import LeaseKeeper
from glimpse.notify import events
from glimpse.notify.base import Notifier
from glimpse.stores.multi import StoreSet

LOG = logging.getLogger(__name__)

INTERRUPTED = "The upload was interrupted because the process that received it ended; upload the data again."


class Recovery:
    """Finds expired leases, takes each over, and ends the operation it stands for."""

    def __init__(
        self,
        database: Database,
        stores: StoreSet,
        keeper: LeaseKeeper,
        on_outcome: Callable[[str, str], None],
        notifier: Notifier | None = None,
    ) -> None:
        """``on_outcome`` is told purpose and outcome (``recovered``, ``failed``) of each lease."""
        self._database = database
        self._stores = stores
        self._keeper = keeper
        self._on_outcome = on_outcome
        self._notifier = notifier
        self._actions = {
            "upload": self._revert_upload,
            "delete": self._complete_delete,
            "location": self._complete_location_removal,
        }

    def run(self) -> int:
        """Recover what has expired by now; returns the number of leases that were brought to an end."""
        done = 0
        for lease in self._database.expired_leases(time.time()):
            taken = self._keeper.take(lease)
            if taken is not None and self._recover(taken):
                done += 1
        return done

    def _recover(self, lease: Lease) -> bool:
        try:
            self._actions[lease.purpose](lease)
        except GlimpseError as error:
            # the lease stays with this process until it expires; then recovery is tried again
            LOG.warning("Recovery of the %s of image %s failed: %s", lease.purpose, lease.image_id, error)
            self._on_outcome(lease.purpose, "failed")
            return False
        LOG.info("Recovered the %s of image %s after its process had ended", lease.purpose, lease.image_id)
        self._on_outcome(lease.purpose, "recovered")
        return True

    def _revert_upload(self, lease: Lease) -> None:
        # nobody else writes this image while it is saving, and the dead writer can no longer activate it:
        # the take-over moved the generation that activation asks for
        store = self._stores.by_id(lease.store) if lease.store else self._stores.default
        store.sweep(lease.image_id, lease.id)
        queued = self._database.cancel_upload(lease, reason=INTERRUPTED)
        if queued and self._notifier is not None:
            image = self._database.leased_image(lease)
            if image is not None:
                events.upload_failed(self._notifier, image, INTERRUPTED, queued=True)

    def _complete_delete(self, lease: Lease) -> None:
        image = self._database.leased_image(lease)
        if image is not None:
            try:
                delete_data(self._stores, image)
            except DataInUse:
                self._database.cancel_delete(lease)
                return
        try:
            deleted_at = self._database.finish_delete(lease.image_id, lease)
        except NotFound:
            self._database.cancel_delete(lease)
            return
        if image is not None and self._notifier is not None:
            events.image_deleted(self._notifier, image, deleted_at)

    def _complete_location_removal(self, lease: Lease) -> None:
        try:
            delete_removed_location(self._database, self._stores, lease)
        except (DataInUse, Forbidden):
            self._database.cancel_location_removal(lease)
        else:
            self._database.finish_location_removal(lease)


def delete_removed_location(database: Database, stores: StoreSet, lease: Lease) -> None:
    """Remove the data of the location that was taken from an image, unless another one of it names the same.

    :raises DataInUse: a store refuses.
    :raises StoreUnavailable: a store does not work now.
    """
    image = database.leased_image(lease)
    kept = {location.url for location in image.locations} if image is not None else frozenset[str]()
    for location in database.locations_being_removed(lease.image_id):
        if location.url in kept:
            continue
        try:
            delete_location_data(stores, location)
        except DataNotFound:
            LOG.info("The data of a location of image %s were gone from the store already", lease.image_id)


def delete_data(stores: StoreSet, image: Image) -> None:
    """Remove the data of every location of ``image``; data that are gone already are no error.

    :raises DataInUse: a store refuses.
    :raises StoreUnavailable: a store does not work now.
    """
    for location in image.locations:
        try:
            delete_location_data(stores, location)
        except DataNotFound:
            LOG.info("The data of image %s were gone from the store already", image.id)


def delete_location_data(stores: StoreSet, location: Location) -> None:
    """Remove the data of one location; those in a store that cannot be written are left alone (store-formats 4).

    :raises DataNotFound: there are none.
    :raises DataInUse: the store refuses.
    :raises StoreUnavailable: the store does not work now.
    """
    store = stores.for_location(location)
    if store.capabilities.writable:
        store.delete(location.url)
