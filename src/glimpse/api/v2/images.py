"""``/v2/images`` and ``/v2/images/{id}``."""

from __future__ import annotations

from functools import partial

from glimpse.api.errors import Refusal
from glimpse.api.json_body import json_object, json_value
from glimpse.api.request import LOOP_BYTES, NO_CONTENT, Reply, Request, json_reply
from glimpse.api.v2.other_nodes import passage_of, passed_on
from glimpse.api.v2.query import parse_list_request
from glimpse.api.v2.views import image_body, image_document, image_list_body
from glimpse.domain.image import Image
from glimpse.domain.patch import ACCEPT_PATCH, Draft, Operation, draft_of, parse_patch
from glimpse.errors import UnsupportedContent
from glimpse.services.deletion import delete_image
from glimpse.services.images import check_update_allowed, create_image, list_images, show_image, update_image


async def create(request: Request) -> Reply:
    """POST: 201 with the image, its absolute Location, the import methods, and the ids of the named stores."""
    document = await request.read(partial(json_object, max_bytes=request.settings.limits.max_json_body))
    image = await request.blocking(create_image, request.deps, request.context, document)
    location = f"{request.origin()}/v2/images/{image.id}".encode("latin-1", "replace")
    headers = [(b"location", location)]
    if request.deps.import_methods.names:
        headers.append((b"openstack-image-import-methods", ",".join(request.deps.import_methods.names).encode()))
    if request.settings.stores.named:
        headers.append((b"openstack-image-store-ids", ",".join(request.deps.stores.ids()).encode()))
    return json_reply(_body(request, image), 201, *headers)


async def show(request: Request) -> Reply:
    """GET: 200 with the image."""
    image = await request.blocking(show_image, request.deps, request.context, request.params["image_id"])
    return json_reply(_body(request, image))


async def list_(request: Request) -> Reply:
    """GET: 200 with one page of images and the links to the first and the next one."""
    listing = parse_list_request(request.scope["query_string"], request.settings.limits)
    images, last = await request.blocking(list_images, request.deps, request.context, listing.query)
    view, is_admin = request.app_state.documents.image_view, request.context.is_admin
    sees_credentials = request.context.sees_credentials
    documents = [image_document(image, view, is_admin=is_admin, sees_credentials=sees_credentials) for image in images]
    next_link = None if last is None else listing.next_link(last)
    return json_reply(image_list_body(documents, first=listing.first, next_link=next_link))


async def update(request: Request) -> Reply:
    """PATCH: 200 with the changed image."""
    try:
        draft = draft_of(request.headers.get("content-type"))
    except UnsupportedContent as error:
        raise Refusal(415, str(error), ((b"accept-patch", ACCEPT_PATCH.encode()),)) from None
    body = await request.body()
    image_id = request.params["image_id"]
    if len(body) > LOOP_BYTES:
        # Glance reports malformed operations before it looks up the image; a long body is parsed only for callers who
        # may change the image
        await request.blocking(check_update_allowed, request.deps, request.context, image_id)
    operations = await request.decoded(body, partial(_operations, request, draft))
    # this checks new locations in stores, and deletes the data of removed ones
    run = request.storing if any(operation.on_locations for operation in operations) else request.blocking
    image = await run(update_image, request.deps, request.context, image_id, operations)
    await request.give_readers(image_id)
    return json_reply(_body(request, image))


async def delete(request: Request) -> Reply:
    """DELETE: 204."""
    image_id, passage = request.params["image_id"], passage_of(request)
    answer = await request.storing(delete_image, request.deps, request.context, image_id, passage)
    if answer is not None:
        return passed_on(answer)
    return NO_CONTENT


def _operations(request: Request, draft: Draft, body: bytes) -> tuple[Operation, ...]:
    document = json_value(body, max_bytes=request.settings.limits.max_json_body)
    return parse_patch(document, draft, request.deps.checker)


def _body(request: Request, image: Image) -> bytes:
    context = request.context
    view = request.app_state.documents.image_view
    return image_body(image, view, is_admin=context.is_admin, sees_credentials=context.sees_credentials)
