"""The errors about one object that all drivers raise, with the same messages (store-formats 4)."""

from __future__ import annotations

from glimpse.errors import DataNotFound, Duplicate, ForeignLocation, StoreFull, StoreUnavailable


def duplicate(store_id: str, image_id: str) -> Duplicate:
    """Return the error for an image that already has an object."""
    return Duplicate(f"Store {store_id} already has data of image {image_id}.")


def missing(store_id: str) -> DataNotFound:
    """Return the error for an object that does not exist."""
    return DataNotFound(f"Store {store_id} has no data at the location.")


def foreign(store_id: str, reason: str = "") -> ForeignLocation:
    """Return the error for a location that does not belong to the store; ``reason`` is a clause without a period."""
    return ForeignLocation(f"The location is not one of store {store_id}{reason and ': '}{reason}.")


def full(store_id: str) -> StoreFull:
    """Return the error for data that do not fit."""
    return StoreFull(f"Store {store_id} has no space left for the data.")


def aborted(store_id: str) -> StoreUnavailable:
    """Return the error for an attempt whose unfinished data were removed by a sweep."""
    return StoreUnavailable(f"The upload to store {store_id} was aborted meanwhile.")
