"""``GET`` and ``HEAD /v2/images/{id}/file``: download the data of an image (images-api 4.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError as Cancelled
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qs

import msgspec

from glimpse.api.errors import Refusal
from glimpse.api.request import NO_CONTENT, RawHeaders, Reply, Request, json_reply
from glimpse.domain.clock import wire_time
from glimpse.domain.image import Image
from glimpse.domain.properties import DIGEST_PREFIX
from glimpse.errors import Busy, DataIncomplete
from glimpse.services.download import Download, find_data, open_data, record_download, source_of
from glimpse.services.image_source import DataFound
from glimpse.services.location_repair import with_locations_repaired
from glimpse.services.presigned import presigned_url
from glimpse.transfer.concurrency import RETRY_SECONDS
from glimpse.transfer.expected_digest import in_field, wanted_in_field
from glimpse.transfer.fair_threads import Lane
from glimpse.transfer.preconditions import Verdict, precondition
from glimpse.transfer.ranges import ByteRange, requested_range, strong_etag
from glimpse.transfer.send import send_reader

T = TypeVar("T")

#: Seconds added to the store's own timeout, so that its error, which has the reason, comes first.
_OWN_REASON_SECONDS = 1.0

_OCTETS = (b"content-type", b"application/octet-stream")


async def download(request: Request) -> Reply | None:
    """GET: 200 or 206 with the data, 304 if the client already has them, 204 if the image never had any."""
    found = await _find(request)
    if found is None:
        return NO_CONTENT
    if (unchanged := _unchanged(request, found.image)) is not None:
        return unchanged
    digest = _repr_digest(request, found.image)
    if request.settings.api.presigned_urls and _asks_for_url(request.scope["query_string"]):
        offered = await _presigned(request, found)
        if offered is not None:
            return offered
    tag = strong_etag(found.image.os_hash_value, found.image.checksum)

    def range_of(size: int) -> ByteRange | None:
        return requested_range(
            range_=request.headers.get("range"),
            content_range=request.headers.get("content-range"),
            if_range=request.headers.get("if-range"),
            size=size,
            etag=tag,
        )

    if found.image.size is not None:
        range_of(found.image.size)  # refuses an invalid range before a store is opened for it
    app_state = request.app_state
    with app_state.downloads.place(request.party), app_state.transfer("download"):
        lane = _lane(request, found)
        opened = await _from_store(
            request, found, lane, partial(open_data, request.deps.source, found, range_of), _close
        )
        await _send(request, lane, opened, digest)
    await _repair(request, found.image)
    return None


async def _repair(request: Request, image: Image) -> None:
    """Repair locations of which only their stores know whose they are; the client has its data by now."""
    stores = request.deps.stores
    if stores.repaired_schemes and any(map(stores.asks_to_repair, image.locations)):
        await request.storing(partial(with_locations_repaired, ask=True), request.deps, image)


def _asks_for_url(query_string: bytes) -> bool:
    return (
        b"presigned" in query_string and parse_qs(query_string.decode("latin-1")).get("presigned", [""])[-1] == "true"
    )


async def _presigned(request: Request, found: DataFound) -> Reply | None:
    """Return the answer with a presigned URL; None if the data are to be sent. Never a redirect (docs/adr/0022)."""
    seconds = request.settings.api.presigned_url_time
    ask = partial(presigned_url, request.deps, request.context, found, seconds)
    with request.app_state.downloads.place(request.party):
        offered = await _from_store(request, found, _lane(request, found), ask, lambda _: None)
    if offered is None:
        return None
    image = found.image
    document = {
        "url": offered.url,
        "expires_at": wire_time(offered.expires_at),
        "size": image.size,
        "checksum": image.checksum,
        "os_hash_algo": image.os_hash_algo,
        "os_hash_value": image.os_hash_value,
    }
    return json_reply(msgspec.json.encode(document), 200, (b"cache-control", b"no-store"))


async def head(request: Request) -> Reply | None:
    """HEAD: the headers that a GET without a range would have. The store is asked only if the size is unknown."""
    found = await _find(request)
    if found is None:
        return NO_CONTENT
    if (unchanged := _unchanged(request, found.image)) is not None:
        return unchanged
    digest = _repr_digest(request, found.image)
    size = found.image.size
    if size is None:
        asked = partial(request.deps.source.size, found)
        with request.app_state.downloads.place(request.party):
            size = await _from_store(request, found, _lane(request, found), asked, lambda _: None)
    headers = (*_data_headers(found.image, size), *digest)
    await request.send({"type": "http.response.start", "status": 200, "headers": headers})
    await request.send({"type": "http.response.body", "body": b""})
    return None


async def _find(request: Request) -> DataFound | None:
    return await request.blocking(
        find_data,
        request.deps,
        request.context,
        request.params["image_id"],
        _preferred(request.scope["query_string"]),
    )


def _unchanged(request: Request, image: Image) -> Reply | None:
    """Return 304 if ``If-None-Match`` matches, else None.

    :raises Refusal: 412, the data do not match ``If-Match``.
    """
    headers = request.headers
    tag = strong_etag(image.os_hash_value, image.checksum)
    match precondition(headers.getlist("if-match"), headers.getlist("if-none-match"), tag):
        case Verdict.FAILED:
            raise Refusal(412, "The image's data do not match If-Match.")
        case Verdict.UNCHANGED:
            # a response without a body has no Content-Length
            return Reply(304, b"", () if tag is None else ((b"etag", tag.encode()),))
        case Verdict.GO_ON:
            return None


def _lane(request: Request, found: DataFound) -> Lane:
    source = source_of(request.deps.stores, found.locations[0])
    return request.app_state.reading_threads.lane(project=request.party, source=source)


async def _from_store(
    request: Request, found: DataFound, lane: Lane, ask: Callable[[], T], drop: Callable[[T], None]
) -> T:
    """Run ``ask``, which waits for a store, in a thread of ``lane`` and return its result.

    A result that comes too late, or after the client disconnected, is passed to ``drop``.

    :raises Busy: it takes longer than ``store_open_timeout`` per location.
    """
    seconds = request.settings.data_sources.open_timeout * len(found.locations)
    context = copy_context()  # log lines of the thread name the caller
    future = lane.submit(lambda: context.run(ask))
    try:
        async with asyncio.timeout(seconds + _OWN_REASON_SECONDS):
            return await asyncio.wrap_future(future)
    except BaseException as error:
        future.add_done_callback(partial(_drop_late, drop))
        if isinstance(error, TimeoutError):
            raise Busy(
                f"The store did not open the data within {seconds:g} seconds; try again later.", RETRY_SECONDS
            ) from None
        raise


def _drop_late(drop: Callable[[T], None], future: Future[T]) -> None:
    try:
        late = future.result()
    except (Exception, Cancelled):  # noqa: BLE001 - no one waits for it any more, and there is no result to drop
        return
    drop(late)


def _close(opened: Download) -> None:
    opened.reader.close()


def _repr_digest(request: Request, image: Image) -> RawHeaders:
    """Return the header ``Repr-Digest``, if it is wanted and a digest is known (RFC 9530); of all data, not of a range.

    :raises Invalid: ``Want-Repr-Digest`` is malformed.
    """
    if "want-repr-digest" not in request.headers:
        return ()
    wanted = wanted_in_field(", ".join(request.headers.getlist("want-repr-digest")))
    known = {one: image.properties.get(DIGEST_PREFIX + one) for one in wanted}
    if image.os_hash_algo in known:
        known[image.os_hash_algo] = image.os_hash_value
    found = in_field({one: value for one, value in known.items() if value})
    return ((b"repr-digest", found.encode()),) if found else ()


async def _send(request: Request, lane: Lane, opened: Download, digest: RawHeaders) -> None:
    deps, context = request.deps, request.context
    status, headers = _start(opened)
    start = {"type": "http.response.start", "status": status, "headers": (*headers, *digest)}
    try:
        sent = await send_reader(
            opened.reader,
            request.send,
            request.receive,
            lane,
            start=start,
            memory=request.app_state.part_memory,
            turns=request.app_state.turn_budget,
        )
    except DataIncomplete as error:
        record_download(deps, context, opened, error.sent)
        raise
    if sent == opened.reader.length:
        record_download(deps, context, opened, sent)


def _preferred(query_string: bytes) -> tuple[str, ...]:
    """Return the store ids of the query parameter ``prefer``; empty ones are ignored (images-api 4.4)."""
    if b"prefer" not in query_string:
        return ()
    given = parse_qs(query_string.decode("latin-1")).get("prefer", [])
    return tuple(name for text in given for part in text.split(",") if (name := part.strip()))


def _start(opened: Download) -> tuple[int, RawHeaders]:
    headers = _data_headers(opened.image, opened.reader.length)
    if opened.range is None or opened.size is None:
        return 200, headers
    return 206, (*headers, (b"content-range", opened.range.content_range(opened.size).encode()))


def _data_headers(image: Image, length: int | None) -> RawHeaders:
    """``length`` None: unknown before the end of the data, which the server marks; ranges are not supported then."""
    if length is None:
        headers = [_OCTETS, (b"accept-ranges", b"none")]
    else:
        headers = [_OCTETS, (b"content-length", str(length).encode()), (b"accept-ranges", b"bytes")]
    if image.checksum:
        headers.append((b"content-md5", image.checksum.encode()))
    tag = strong_etag(image.os_hash_value, image.checksum)
    if tag:
        headers.append((b"etag", tag.encode()))
    return tuple(headers)
