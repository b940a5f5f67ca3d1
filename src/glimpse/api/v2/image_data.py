"""``/v2/images/{id}/file``: the bytes of an image (spec 01, section 4)."""

from __future__ import annotations

import asyncio
import re
from contextvars import copy_context
from functools import partial
from urllib.parse import parse_qs

from glimpse.api.errors import Refusal
from glimpse.api.exchange import NO_CONTENT, Exchange, RawHeaders, Reply
from glimpse.api.unread_body import DRAIN_BYTES, DRAIN_SECONDS
from glimpse.context import Context
from glimpse.domain.image import Image
from glimpse.errors import BodyIncomplete, DataIncomplete, GlimpseError, Invalid, Unavailable
from glimpse.services.deps import Deps
from glimpse.services.image_data import Download, UploadRequest, open_download, record_download, upload_image
from glimpse.transfer.pump import BodyPump
from glimpse.transfer.ranges import ByteRange, requested_range, strong_etag
from glimpse.transfer.send import send_reader
from glimpse.transfer.source import ByteSource

OCTETS = "application/octet-stream"

#: How long an upload waits for a transfer thread.
SLOT_SECONDS = 30.0

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


async def upload(exchange: Exchange) -> Reply:
    """PUT: 204 once the image is active."""
    media_type = exchange.headers.get("content-type", "").partition(";")[0].strip()
    if media_type != OCTETS:
        raise Refusal(415, f"The data of an image are sent as {OCTETS}.")
    workshop = exchange.workshop
    store = exchange.headers.get("x-image-meta-store") if workshop.settings.stores.named else None
    request = UploadRequest(exchange.scope["path_params"]["image_id"], _declared_size(exchange), store)
    loop = asyncio.get_running_loop()
    await _take_slot(workshop.upload_slots)
    exchange.scope["glimpse.body_taken"] = True
    with workshop.transfer("upload"):
        pump = BodyPump(exchange.receive, loop, timeout=workshop.settings.listen.body_timeout)
        waits = exchange.headers.get("expect", "").lower() == "100-continue"
        work = partial(_upload, exchange.deps, exchange.context, request, pump, client_waits=waits)
        try:
            await loop.run_in_executor(workshop.transfer_threads, copy_context().run, work)
        finally:
            pump.close()
            workshop.upload_slots.release()
    return NO_CONTENT


async def _take_slot(slots: asyncio.Semaphore) -> None:
    """Wait for a transfer thread, before anything of the body is read or claimed.

    :raises Unavailable: none became free in time.
    """
    if not slots.locked():
        await slots.acquire()
        return
    try:
        async with asyncio.timeout(SLOT_SECONDS):
            await slots.acquire()
    except TimeoutError:
        raise Unavailable("All threads for transfers are busy; try again later.") from None


def _upload(deps: Deps, context: Context, request: UploadRequest, source: ByteSource, *, client_waits: bool) -> None:
    try:
        upload_image(deps, context, request, source)
    except BodyIncomplete:
        raise
    except GlimpseError:
        if source.received or not client_waits:
            source.drain(DRAIN_BYTES, DRAIN_SECONDS)
        raise


def _declared_size(exchange: Exchange) -> int | None:
    """Bytes announced by ``x-openstack-image-size``, else by ``Content-Length``; 0 and no header mean unknown."""
    announced = exchange.headers.get("x-openstack-image-size")
    if announced is None:
        announced = exchange.headers.get("content-length", "0")
    if not _INTEGER.fullmatch(announced.strip()):
        raise Invalid("The header x-openstack-image-size must be a decimal integer.")
    return int(announced) or None


async def download(exchange: Exchange) -> Reply | None:
    """GET: 200 or 206 with the data, 204 when the image has none."""

    def range_of(image: Image, size: int) -> ByteRange | None:
        return requested_range(
            range_=exchange.headers.get("range"),
            content_range=exchange.headers.get("content-range"),
            if_range=exchange.headers.get("if-range"),
            size=size,
            etag=strong_etag(image.os_hash_value, image.checksum),
        )

    opened = await exchange.blocking(
        open_download,
        exchange.deps,
        exchange.context,
        exchange.params["image_id"],
        range_of,
        _preferred(exchange.scope["query_string"]),
    )
    if opened is None:
        return NO_CONTENT
    with exchange.workshop.transfer("download"):
        status, headers = _head(opened)
        await exchange.send({"type": "http.response.start", "status": status, "headers": headers})
        await _send(exchange, opened)
    return None


async def _send(exchange: Exchange, opened: Download) -> None:
    deps, context = exchange.deps, exchange.context
    try:
        sent = await send_reader(opened.reader, exchange.send, exchange.receive, exchange.workshop.reading_threads)
    except DataIncomplete as error:
        record_download(deps, context, opened, error.sent)
        raise
    if sent == opened.reader.length:
        record_download(deps, context, opened, sent)


def _preferred(query_string: bytes) -> tuple[str, ...]:
    """The store ids of the query ``prefer``; empty ones are ignored (spec 01, section 4.4)."""
    if b"prefer" not in query_string:
        return ()
    given = parse_qs(query_string.decode("latin-1")).get("prefer", [])
    return tuple(name for text in given for part in text.split(",") if (name := part.strip()))


def _head(opened: Download) -> tuple[int, RawHeaders]:
    image = opened.image
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", OCTETS.encode()),
        (b"content-length", str(opened.reader.length).encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if image.checksum:
        headers.append((b"content-md5", image.checksum.encode()))
    tag = strong_etag(image.os_hash_value, image.checksum)
    if tag:
        headers.append((b"etag", tag.encode()))
    if opened.range is None:
        return 200, tuple(headers)
    headers.append((b"content-range", opened.range.content_range(opened.size).encode()))
    return 206, tuple(headers)
