"""``/v2/images`` and ``/v2/images/{id}``."""

from __future__ import annotations

from functools import partial

from glimpse.api.errors import Refusal
from glimpse.api.exchange import LOOP_BYTES, NO_CONTENT, Exchange, Reply, json_reply
from glimpse.api.json_body import json_object, json_value
from glimpse.api.v2.query import parse_list_request
from glimpse.api.v2.views import image_body, image_document, image_list_body
from glimpse.domain.image import Image
from glimpse.domain.patch import ACCEPT_PATCH, Draft, Operation, draft_of, parse_patch
from glimpse.errors import UnsupportedContent
from glimpse.services.deletion import delete_image
from glimpse.services.images import check_update_allowed, create_image, list_images, show_image, update_image


async def create(exchange: Exchange) -> Reply:
    """POST: 201 with the image, its absolute Location, and the ids of the named stores."""
    document = await exchange.read(partial(json_object, max_bytes=exchange.settings.limits.max_json_body))
    image = await exchange.blocking(create_image, exchange.deps, exchange.context, document)
    location = f"{exchange.origin()}/v2/images/{image.id}".encode("latin-1", "replace")
    headers = [(b"location", location)]
    if exchange.settings.stores.named:
        headers.append((b"openstack-image-store-ids", ",".join(exchange.deps.stores.ids()).encode()))
    return json_reply(_body(exchange, image), 201, *headers)


async def show(exchange: Exchange) -> Reply:
    """GET: 200 with the image."""
    image = await exchange.blocking(show_image, exchange.deps, exchange.context, exchange.params["image_id"])
    return json_reply(_body(exchange, image))


async def list_(exchange: Exchange) -> Reply:
    """GET: 200 with one page of images and the links to the first and the next one."""
    request = parse_list_request(exchange.scope["query_string"], exchange.settings.limits)
    images, last = await exchange.blocking(list_images, exchange.deps, exchange.context, request.query)
    view, is_admin = exchange.app_state.documents.image_view, exchange.context.is_admin
    sees_credentials = exchange.context.sees_credentials
    documents = [image_document(image, view, is_admin=is_admin, sees_credentials=sees_credentials) for image in images]
    next_link = None if last is None else request.next_link(last)
    return json_reply(image_list_body(documents, first=request.first, next_link=next_link))


async def update(exchange: Exchange) -> Reply:
    """PATCH: 200 with the changed image."""
    try:
        draft = draft_of(exchange.headers.get("content-type"))
    except UnsupportedContent as error:
        raise Refusal(415, str(error), ((b"accept-patch", ACCEPT_PATCH.encode()),)) from None
    body = await exchange.body()
    image_id = exchange.params["image_id"]
    if len(body) > LOOP_BYTES:
        # Glance reports malformed operations before it looks up the image; a long body is parsed only for callers who
        # may change the image
        await exchange.blocking(check_update_allowed, exchange.deps, exchange.context, image_id)
    operations = await exchange.decoded(body, partial(_operations, exchange, draft))
    # this checks new locations in stores, and deletes the data of removed ones
    run = exchange.storing if any(operation.on_locations for operation in operations) else exchange.blocking
    image = await run(update_image, exchange.deps, exchange.context, image_id, operations)
    return json_reply(_body(exchange, image))


async def delete(exchange: Exchange) -> Reply:
    """DELETE: 204."""
    await exchange.storing(delete_image, exchange.deps, exchange.context, exchange.params["image_id"])
    return NO_CONTENT


def _operations(exchange: Exchange, draft: Draft, body: bytes) -> tuple[Operation, ...]:
    document = json_value(body, max_bytes=exchange.settings.limits.max_json_body)
    return parse_patch(document, draft, exchange.deps.checker)


def _body(exchange: Exchange, image: Image) -> bytes:
    context = exchange.context
    view = exchange.app_state.documents.image_view
    return image_body(image, view, is_admin=context.is_admin, sees_credentials=context.sees_credentials)
