"""Copies of images in stores: which can be deleted from this process, and their deletion one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from glimpse.domain.image import Image, Location
from glimpse.errors import DataInUse, DataNotFound, DeletionDenied, Forbidden, Invalid, Refused, StoreUnavailable
from glimpse.stores.base import DeletionCheck, Store, ability
from glimpse.stores.multi import StoreSet

LOG = logging.getLogger(__name__)

#: What is raised for a copy that cannot be deleted, now or later; Invalid of a location that is no URL.
REFUSALS = (Refused, Invalid)


class Attendance(Protocol):
    """What the deletion of a copy asks of its run."""

    def check(self) -> None:
        """Raise what :meth:`glimpse.jobs.base.Run.check` does."""
        ...

    def require_lease(self) -> None:
        """Raise what :meth:`glimpse.jobs.base.Run.require_lease` does."""
        ...


class WaitingCopy(msgspec.Struct, frozen=True):
    """A copy that cannot be deleted from this process now, and why."""

    location: Location
    reason: str


def store_to_delete_from(stores: StoreSet, location: Location) -> Store | None:
    """The store that has a copy which can be deleted; None for data in stores that are only read (store-formats 4), and
    if several stores may have it, but none has it.

    :raises StoreUnavailable: no store of this process serves the location.
    :raises Invalid: the location is no URL.
    """
    if stores.is_read_only(location):
        return None
    try:
        store = stores.holding(location)
    except DataNotFound:
        LOG.info("A copy is gone already: no store of its scheme has it")
        return None
    return store if store.writable else None


def delete_copy(run: Attendance, store: Store, location: Location) -> None:
    """Delete one copy; one that is gone already is no error.

    :raises LeaseLost: the job is not this run's any more.
    :raises Refused, Invalid: the store refuses.
    :raises StoreUnavailable: the store does not work now.
    """
    run.check()
    run.require_lease()
    try:
        store.delete(location.url)
    except DataNotFound:
        LOG.info("A copy was gone from store %s already", store.id)


def check_removable(stores: StoreSet, image: Image, location: Location) -> None:
    """Ask the store whether it would delete a copy; a store that does not work now is asked later.

    :raises Refused, Invalid: it would refuse.
    """
    if not any(other.url == location.url and other.id != location.id for other in image.locations):
        _asked(stores, [location])


def delete_copies(
    run: Attendance, stores: StoreSet, locations: Sequence[Location], forget: Callable[[Location], object]
) -> list[WaitingCopy]:
    """Delete all copies of an image, except those that wait for a store, which are returned.

    All stores are asked before the first copy goes. ``forget`` takes a location whose copy is gone from the image; it
    is called for all of them but the last, which goes together with the image.

    :raises LeaseLost: the job is not this run's any more.
    :raises Refused, Invalid: a store refuses. Unless the message says otherwise no copy is gone.
    """
    possible, waits = _asked(stores, locations)
    gone: list[Location] = []
    for location, store in possible:
        if gone:
            forget(gone[-1])
        try:
            delete_copy(run, store, location)
        except StoreUnavailable as error:
            waits.append(WaitingCopy(location, str(error)))
        except REFUSALS as error:
            if not gone:
                raise
            raise _refused_midway(stores, locations, gone, error) from error
        else:
            gone.append(location)
    return waits


def _asked(stores: StoreSet, locations: Sequence[Location]) -> tuple[list[tuple[Location, Store]], list[WaitingCopy]]:
    """The copies that can be deleted, with their stores, and those that have to wait.

    :raises Refused, Invalid: a store would refuse.
    """
    possible: list[tuple[Location, Store]] = []
    waits: list[WaitingCopy] = []
    for location in locations:
        try:
            store = store_to_delete_from(stores, location)
            if store is None:
                continue
            check = ability(store, DeletionCheck)
            if check is not None:
                check.check_delete(location.url)
            possible.append((location, store))
        except DataNotFound:
            LOG.info("A copy in store %s is gone already", stores.serving(location))
        except StoreUnavailable as error:
            waits.append(WaitingCopy(location, str(error)))
    return possible, waits


def _refused_midway(
    stores: StoreSet, locations: Sequence[Location], gone: Sequence[Location], error: Exception
) -> Refused:
    remaining = [location for location in locations if location not in gone]
    message = (
        f"{error} Copies in {_named(stores, gone)} were deleted before; the image is unchanged otherwise, and has its "
        f"copies in {_named(stores, remaining)}."
    )
    return DeletionDenied(message) if isinstance(error, Forbidden) else DataInUse(message)


def _named(stores: StoreSet, locations: Sequence[Location]) -> str:
    return ", ".join(
        sorted({stores.serving(location) or "a store that is not configured here" for location in locations})
    )
