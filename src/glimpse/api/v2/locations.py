"""``/v2/images/{id}/locations`` (imports-and-stores 5.4 and 5.5)."""

from __future__ import annotations

from functools import partial

import msgspec

from glimpse.api.json_body import json_object
from glimpse.api.request import Reply, Request, json_reply
from glimpse.api.v2.views import image_document
from glimpse.services.locations import add_location, list_locations


async def add(request: Request) -> Reply:
    """POST: 202 without a body once the job is recorded."""
    document = await request.read(partial(json_object, max_bytes=request.settings.limits.max_json_body))
    # the host name of the URL is resolved, which may take long
    await request.storing(add_location, request.deps, request.context, request.params["image_id"], document)
    return Reply(202)


async def list_(request: Request) -> Reply:
    """GET: 200 with a bare array."""
    image = await request.blocking(list_locations, request.deps, request.context, request.params["image_id"])
    # shown here regardless of ``show_multiple_locations``
    view = msgspec.structs.replace(request.app_state.documents.image_view, locations=True)
    context = request.context
    document = image_document(image, view, is_admin=context.is_admin, sees_credentials=context.sees_credentials)
    return json_reply(msgspec.json.encode(document["locations"]))
