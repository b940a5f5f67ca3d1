"""Changing the locations of an image by PATCH (images-api 3.5.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec

from glimpse.domain.image import Image, ImageChange, Location
from glimpse.domain.limits import check_count
from glimpse.domain.location_data import DigestClaims, check_metadata, check_url, refuse_masked, shown_url
from glimpse.domain.patch import Operation
from glimpse.domain.status import Status
from glimpse.errors import Conflict, Forbidden, Invalid

_FORMATS = ("disk_format", "container_format")
_ADDING = (Status.QUEUED, Status.ACTIVE)


class Placement(msgspec.Struct, frozen=True):
    """A store's answer about a client's URL: the size of the data, and metadata that the service adds."""

    size: int
    metadata: dict[str, Any]


#: Asks the stores about a URL; raises Invalid if it cannot be a location.
Place = Callable[[str], Placement]


class LocationEdit:
    """The location operations of one PATCH.

    ``shown`` are the image's locations in the API's order, ``place`` asks the stores about a URL. Locations that a
    failed import left on a queued image do not count as its data: they are removed with the first one added.
    """

    def __init__(
        self, image: Image, shown: Sequence[Location], *, place: Place, quota: int, algorithm: str, digits: int
    ) -> None:
        self._image = image
        self._place = place
        self._quota = quota
        self._queued = image.status is Status.QUEUED
        self._stale = tuple(shown) if self._queued else ()
        self._list = [] if self._queued else list(shown)
        self._added: list[Location] = []
        self._relabelled: dict[int, Location] = {}
        self._size = image.size
        self._claims = DigestClaims(
            {"checksum": image.checksum, "os_hash_algo": image.os_hash_algo, "os_hash_value": image.os_hash_value},
            algorithm=algorithm,
            digits=digits,
            queued=self._queued,
        )
        #: rows whose data are to be removed from the stores
        self.removed: list[Location] = []

    @property
    def locations(self) -> tuple[Location, ...]:
        """The locations after the operations so far, in the API's order."""
        return tuple(self._list)

    @property
    def adds(self) -> bool:
        """Whether there are new locations, whose data must be checked."""
        return bool(self._added)

    @property
    def size_to_add(self) -> int:
        """Bytes that the new locations add to the owner's usage (images-api 6.2)."""
        return (self._size or 0) * len(self._added)

    def apply(self, operation: Operation) -> None:
        """Apply one operation.

        :raises Forbidden: the image would lose its last location.
        :raises Conflict: the status does not allow it, or validation data contradict each other or the image.
        :raises Invalid: the position or a location is invalid.
        :raises LimitExceeded: ``image_location_quota``.
        """
        match operation.op:
            case "add":
                self._require_status(_ADDING)
                self._add(cast("Mapping[str, Any]", operation.value), _position(operation, len(self._list)))
            case "replace":
                self._require_status(_ADDING)
                self._replace(cast("list[Mapping[str, Any]]", operation.value))
            case _:
                self._require_status((Status.ACTIVE,))
                self._remove(operation)

    def change(self, rest: ImageChange) -> ImageChange:
        """Add these changes to ``rest``, the changes of the PATCH's other operations.

        :raises Invalid: a queued image gets a location before its formats are set.
        """
        columns = dict(rest.columns)
        from_status = rest.from_status
        if self._added:
            if self._queued:
                self._require_formats(columns)
                columns |= {"status": Status.ACTIVE, **self._claims.columns}
            if self._image.size is None:
                columns["size"] = self._size
            from_status = (self._image.status,)
        unchanged = {name: getattr(self._image, name) for name in _FORMATS if name not in columns}
        added = self._added
        return msgspec.structs.replace(
            rest,
            columns=columns,
            add_locations=tuple(location for location in self._list if any(location is one for one in added)),
            relabel_locations=tuple(self._relabelled.values()),
            drop_locations=tuple(location.id for location in self._stale if location.id is not None) if added else (),
            from_status=from_status,
            if_columns=unchanged if added and self._queued else {},
            mark_unverified=bool(added),
        )

    def _add(self, value: Mapping[str, Any], position: int) -> None:
        check_count("locations", len(self._list) + 1, self._quota)
        given = _location(value)
        refuse_masked(given.url)
        if any(one.url == given.url and _as_given(one, given) for one in self._list):
            raise Invalid("The image already has this location with the same metadata.")
        self._claims.add(value.get("validation_data", {}))
        placed = self._place(given.url)
        if self._size is None:
            self._size = placed.size
        location = msgspec.structs.replace(given, metadata=_labelled(given.metadata, placed.metadata))
        self._list.insert(position, location)
        self._added.append(location)

    def _replace(self, values: Sequence[Mapping[str, Any]]) -> None:
        if not values:
            raise Forbidden("The last location of an image cannot be removed.")
        check_count("locations", len(values), self._quota)
        if not self._list:
            for value in values:
                self._add(value, len(self._list))
            return
        given = self._unmasked([_location(value) for value in values])
        if Counter(one.url for one in given) != Counter(one.url for one in self._list):
            raise Invalid("Replacing locations can change only their metadata; the URLs must be those of the image.")
        for value in values:
            self._claims.add(value.get("validation_data", {}))
        self._list = [self._relabel(one) for one in given]

    def _unmasked(self, given: Sequence[Location]) -> list[Location]:
        """Return ``given`` with masked URLs replaced by the image's own."""
        urls = [one.url for one in self._list]
        named: list[Location] = []
        for one in given:
            url = next((url for url in urls if one.url == url), None)
            if url is None:
                url = next((url for url in urls if one.url == shown_url(url)), one.url)
            if url in urls:
                urls.remove(url)
            named.append(msgspec.structs.replace(one, url=url))
        return named

    def _relabel(self, given: Location) -> Location:
        position = next(number for number, one in enumerate(self._list) if one.url == given.url)
        old = self._list.pop(position)
        own = {name: old.metadata[name] for name in _SERVICE_KEYS if name in old.metadata}
        new = msgspec.structs.replace(old, metadata=_labelled(given.metadata, own))
        if old.id is None:
            self._added = [new if one is old else one for one in self._added]
        elif new.metadata != old.metadata:
            self._relabelled[old.id] = new
        return new

    def _remove(self, operation: Operation) -> None:
        position = len(self._list) - 1 if operation.position == "-" else _digits(operation)
        if position >= len(self._list):
            raise Invalid(f"The image has no location at position {position}.")
        if len(self._list) == 1:
            raise Forbidden("The only location of an image cannot be removed.")
        location = self._list.pop(position)
        if location.id is None:
            self._added = [one for one in self._added if one is not location]
            return
        self._relabelled.pop(location.id, None)
        self.removed.append(location)

    def _require_status(self, allowed: tuple[Status, ...]) -> None:
        if self._image.status not in allowed:
            raise Conflict(f"The image is {self._image.status}; its locations cannot be changed in this way now.")

    def _require_formats(self, columns: Mapping[str, Any]) -> None:
        for name in _FORMATS:
            if columns.get(name, getattr(self._image, name)) is None:
                raise Invalid(f"Set the image's {name} before you add a location.")


#: Metadata that name the store of a location; clients' values are overridden (images-api 3.5.4).
_SERVICE_KEYS = ("store", "backend")


def _labelled(given: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in given.items() if name not in _SERVICE_KEYS}, **service}


def _as_given(location: Location, given: Location) -> bool:
    """Tell whether ``given`` is ``location``, as a client sent it or reads it."""
    return _labelled(location.metadata, {}) == _labelled(given.metadata, {})


def _location(value: Mapping[str, Any]) -> Location:
    """Build the location from a client's object, already validated; other keys have no effect."""
    check_url(value["url"])
    check_metadata(value["metadata"])
    return Location(url=value["url"], metadata=value["metadata"])


def _position(operation: Operation, length: int) -> int:
    return length if operation.position == "-" else min(_digits(operation), length)


def _digits(operation: Operation) -> int:
    text = operation.position or ""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid("The position of a location must be a number, or '-' for the end.")
    return int(text)
