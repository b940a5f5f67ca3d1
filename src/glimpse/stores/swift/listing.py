"""What a container has: images, and unfinished data of attempts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby

from glimpse.stores.argument_checks import is_object_name
from glimpse.stores.base import StoredObject
from glimpse.stores.swift import manifests
from glimpse.stores.swift.account import Account, Entry
from glimpse.stores.swift.locations import Place, attempt_of, is_glance_segment


def listed(account: Account, container: str, prefix: str) -> Iterator[StoredObject]:
    """Yield the images in a container, whose locations begin with ``prefix``, and unfinished data.

    Segments of images, and objects whose names are not image ids, are left out.
    """
    entries = (entry for entry in account.listing(container) if not is_glance_segment(entry.name))
    # an image comes right before its segments, because its name is the beginning of theirs
    for image_id, group in groupby(entries, _image_id):
        if is_object_name(image_id):
            yield from _objects(account, Place(container, image_id), prefix, list(group))


def _objects(account: Account, place: Place, prefix: str, entries: list[Entry]) -> Iterator[StoredObject]:
    attempts: dict[str, list[Entry]] = {}
    for entry in entries:
        found = attempt_of(entry.name)
        if found is not None:
            attempts.setdefault(found[1], []).append(entry)
    if entries[0].name == place.name:
        image = entries[0]
        size = image.bytes
        if attempts or not size:
            # the listing has no size of an object with a manifest by prefix
            headers = account.head(place.path)
            if headers is None:
                return
            attempts.pop(headers.get(manifests.ATTEMPT, ""), None)
            size = int(headers.get("content-length", "0"))
        yield StoredObject(
            image_id=place.name, size=size, modified_at=_seconds(image.last_modified), url=prefix + place.name
        )
    for attempt, segments in attempts.items():
        yield StoredObject(
            image_id=place.name,
            size=sum(entry.bytes for entry in segments),
            modified_at=max(_seconds(entry.last_modified) for entry in segments),
            attempt=attempt,
        )


def _image_id(entry: Entry) -> str:
    found = attempt_of(entry.name)
    return entry.name if found is None else found[0]


def _seconds(last_modified: str) -> float:
    return datetime.fromisoformat(last_modified).replace(tzinfo=UTC).timestamp()
