"""``PUT /v2/images/{id}/file``: the data of an image are sent (spec 01, sections 4.1 and 4.2)."""

from __future__ import annotations

import asyncio
import re
from contextvars import copy_context
from functools import partial

from glimpse.api.errors import Refusal
from glimpse.api.exchange import NO_CONTENT, Exchange, Reply
from glimpse.api.unread_body import DRAIN_BYTES, DRAIN_SECONDS
from glimpse.context import Context
from glimpse.errors import BodyIncomplete, GlimpseError, Invalid, Unavailable
from glimpse.services.deps import Deps
from glimpse.services.image_data import UploadRequest, upload_image
from glimpse.transfer.pump import BodyPump
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
