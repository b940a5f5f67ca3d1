"""``PUT /v2/images/{id}/file``: upload image data (images-api 4.1 and 4.2)."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

from glimpse.api.errors import Refusal
from glimpse.api.request import NO_CONTENT, AppState, Reply, Request
from glimpse.api.unread_body import DRAIN_BYTES, DRAIN_SECONDS, PAUSE_SECONDS
from glimpse.errors import BodyIncomplete, BodyTimeout, Busy, GlimpseError, Invalid
from glimpse.services.image_data import UploadRequest, upload_image
from glimpse.transfer.concurrency import RETRY_SECONDS
from glimpse.transfer.expected_digest import ExpectedDigest, from_field, wanted_in_field
from glimpse.transfer.pump import BodyPump, Pace
from glimpse.transfer.source import Steps

OCTETS = "application/octet-stream"

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


async def upload(request: Request) -> Reply:
    """PUT: 204 once the image is active."""
    require_octets(request)
    store = request.headers.get("x-image-meta-store") if request.app_state.settings.stores.named else None
    headers = request.headers
    digests = given_digests(request) if "content-digest" in headers or "repr-digest" in headers else ()
    wanted = wanted_in_field(", ".join(headers.getlist("want-repr-digest"))) if "want-repr-digest" in headers else ()
    upload = UploadRequest(
        request.scope["path_params"]["image_id"],
        declared_size(request),
        store,
        digests=digests,
        by_sdk=is_by_sdk(request),
        want_digests=wanted,
    )
    await receive(request, upload_image(request.deps, request.context, upload))
    return NO_CONTENT


def require_octets(request: Request) -> None:
    """:raises Refusal: 415, the body is not sent as plain bytes."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type != OCTETS:
        raise Refusal(415, f"The data of an image are sent as {OCTETS}.")


async def receive(request: Request, steps: Steps[None]) -> None:
    """Pump the body of the request into ``steps``, within the limits for uploads.

    :raises Busy: too many uploads are running.
    """
    app_state = request.app_state
    with _place(app_state, request.context.project_id), app_state.transfer("upload"):
        request.scope["glimpse.body_taken"] = True
        listen = app_state.settings.listen
        pace = Pace(silence=listen.body_timeout, least_rate=listen.min_body_rate, window=listen.min_body_rate_time)
        pump: BodyPump[None] = BodyPump(request.receive, app_state.transfer_threads, pace)
        try:
            await pump.feed(steps)
        except (BodyIncomplete, BodyTimeout):
            raise
        except GlimpseError:
            waits = request.headers.get("expect", "").lower() == "100-continue"
            if pump.received or not waits:
                await pump.drain(DRAIN_BYTES, DRAIN_SECONDS, PAUSE_SECONDS)
            raise
        finally:
            pump.close()


@contextmanager
def _place(app_state: AppState, project: str | None) -> Generator[None]:
    """Hold one of the places for uploads of this worker, and of ``project``, during the block.

    :class:`glimpse.transfer.concurrency.Concurrency` does this for downloads; here it is inlined, to keep the hot path
    of an upload in twelve files (docs/adr/0007).

    :raises Busy: all are taken.
    """
    running, listen = app_state.uploads, app_state.settings.listen
    if running[project] >= listen.max_uploads_per_project:
        raise Busy(
            f"This project already has the maximum of {running[project]} running uploads; try again later.",
            RETRY_SECONDS,
        )
    if sum(running.values()) >= listen.max_uploads:
        raise Busy(f"The service is busy with {sum(running.values())} uploads; try again later.", RETRY_SECONDS)
    running[project] += 1
    try:
        yield
    finally:
        running[project] -= 1
        if not running[project]:
            del running[project]


def is_by_sdk(request: Request) -> bool:
    """Whether openstacksdk, or shade before it, sends the request: they set digests in properties of the image."""
    agent = request.headers.get("user-agent", "")
    return "openstacksdk/" in agent or "shade/" in agent


def given_digests(request: Request) -> tuple[ExpectedDigest, ...]:
    """Return the digests that the data must have (RFC 9530); in an upload both fields are about the same bytes.

    :raises Invalid: a field is malformed, or they contradict each other.
    """
    found: dict[str, ExpectedDigest] = {}
    for name in ("Content-Digest", "Repr-Digest"):
        for digest in from_field(name, ", ".join(request.headers.getlist(name))):
            if found.setdefault(digest.algorithm, digest) != digest:
                raise Invalid("The headers Content-Digest and Repr-Digest contradict each other.")
    return tuple(found.values())


def declared_size(request: Request) -> int | None:
    """Return the size announced in ``x-openstack-image-size``, else in ``Content-Length``; 0 or no header: unknown.

    :raises Invalid: it is not a number.
    """
    announced = request.headers.get("x-openstack-image-size")
    if announced is None:
        announced = request.headers.get("content-length", "0")
    if not _INTEGER.fullmatch(announced.strip()):
        raise Invalid("The header x-openstack-image-size must be a decimal integer.")
    return int(announced) or None
