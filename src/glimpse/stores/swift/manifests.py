"""Large objects: many segments that Swift serves as one object, by a static manifest or one by prefix (ADR 0020)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from glimpse.errors import StoreUnavailable
from glimpse.stores import object_errors
from glimpse.stores.connections import Answer
from glimpse.stores.swift.account import Account
from glimpse.stores.swift.answers import failure
from glimpse.stores.swift.locations import Place

#: Header fields of an object: which attempt wrote it, and what it is.
ATTEMPT = "x-object-meta-glimpse-attempt"
STATIC = "x-static-large-object"
BY_PREFIX = "x-object-manifest"

#: Segments of one manifest, whatever the cluster allows: it looks at each before it answers.
_MOST_SEGMENTS = 1000
#: The largest count of segments of a manifest by prefix; beyond one page of a listing Swift tells no length.
MOST_BY_PREFIX = 9_999

#: Deletes objects by name, several at the same time.
DeleteAll = Callable[[Account, str, Iterable[str]], object]


class Segment(msgspec.Struct, frozen=True):
    """One stored segment; ``etag`` as Swift returned it."""

    name: str
    size: int
    etag: str


def static_limit(account: Account) -> int:
    """Return the largest number of segments in a static manifest; 0 if the cluster does not have them."""
    found: Any = account.capabilities().get("slo")
    if not isinstance(found, dict):
        return 0
    most: Any = found.get("max_manifest_segments", _MOST_SEGMENTS)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # JSON
    return min(most, _MOST_SEGMENTS) if isinstance(most, int) else _MOST_SEGMENTS


def put_static(account: Account, place: Place, segments: Sequence[Segment], headers: Mapping[str, str]) -> Answer:
    """Make one object of ``segments``; Swift checks that each is there and unchanged."""
    body = msgspec.json.encode(
        [
            {"path": f"/{place.container}/{found.name}", "size_bytes": found.size, "etag": found.etag}
            for found in segments
        ]
    )
    return account.persist("PUT", place.path, headers, body, "multipart-manifest=put")


def put_by_prefix(account: Account, place: Place, prefix: str, headers: Mapping[str, str]) -> Answer:
    """Make one object of the segments whose names begin with ``prefix``, as Glance does (store-formats 7.3)."""
    manifest = f"{quote(place.container, safe='')}/{quote(prefix)}"
    return account.persist("PUT", place.path, {"X-Object-Manifest": manifest, **headers})


def await_size(account: Account, place: Place, size: int, attempt: str, seconds: float) -> None:
    """Wait until the object has ``size`` bytes: the listing behind a manifest by prefix may be late.

    :raises StoreUnavailable: it has another size, or is of another attempt, after ``seconds``.
    """
    end = time.monotonic() + seconds
    pause = 0.1
    while True:
        headers = account.head(place.path, newest=True) or {}
        if headers.get(ATTEMPT) == attempt and headers.get("content-length") == str(size):
            return
        if headers.get(ATTEMPT, attempt) != attempt or time.monotonic() > end:
            raise StoreUnavailable(f"Store {account.store_id} does not have all of the data that were written.")
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def delete_object(account: Account, place: Place, headers: Mapping[str, str], delete_all: DeleteAll) -> None:
    """Delete an object and its segments; ``headers`` are those of the object.

    :raises DataNotFound: the object does not exist.
    :raises DeletionDenied: the service may not delete it.
    :raises StoreUnavailable: Swift does not work, or not all of the segments could be deleted.
    """
    if headers.get(STATIC, "").lower() == "true":
        _delete_static(account, place)
        return
    if prefix := headers.get(BY_PREFIX):
        container, _, beginning = unquote(prefix).partition("/")
        if container and beginning:
            names = [found.name for found in account.listing(container, beginning)]
            delete_all(account, container, [name for name in names if Place(container, name) != place])
    _require_deleted(account, account.persist("DELETE", place.path))


def _delete_static(account: Account, place: Place) -> None:
    answer = account.persist("GET", place.path, query="multipart-manifest=get")
    if answer.status != 200:
        raise failure(account.store_id, answer, deleting=True)
    try:
        entries = msgspec.json.decode(answer.body, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"Store {account.store_id} is not working: Swift sends no manifest.") from error
    # a request for each part, so that none takes too long
    for entry in entries:
        if entry.get("sub_slo"):
            container, _, name = str(entry.get("name", "")).lstrip("/").partition("/")
            _delete_with_segments(account, Place(container, name))
    if not _delete_with_segments(account, place):
        raise object_errors.missing(account.store_id)


def _delete_with_segments(account: Account, place: Place) -> int:
    """Delete a static manifest and its segments, and return the number of deleted objects."""
    query = "multipart-manifest=delete"
    answer = account.persist("DELETE", place.path, {"Accept": "application/json"}, query=query)
    if answer.status == 404:
        return 0
    if answer.status != 200:
        raise failure(account.store_id, answer, deleting=True)
    try:
        report: dict[str, Any] = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"Store {account.store_id} is not working: Swift sends no report.") from error
    for _, status in report.get("Errors") or ():
        code = int(str(status).partition(" ")[0])
        raise failure(account.store_id, Answer(code, {}), deleting=True)
    return int(report.get("Number Deleted", 0))


def _require_deleted(account: Account, answer: Answer) -> None:
    if answer.status not in {200, 204}:
        raise failure(account.store_id, answer, deleting=True)
