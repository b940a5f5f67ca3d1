"""``/v2/images/{id}/locations`` (imports-and-stores 5.4 and 5.5)."""

from __future__ import annotations

from functools import partial

import msgspec

from glimpse.api.exchange import Exchange, Reply, json_reply
from glimpse.api.json_body import json_object
from glimpse.api.v2.views import image_document
from glimpse.services.locations import add_location, list_locations


async def add(exchange: Exchange) -> Reply:
    """POST: 202 without a body once the job is recorded."""
    document = await exchange.read(partial(json_object, max_bytes=exchange.settings.limits.max_json_body))
    # the host name of the URL is resolved, which may take long
    await exchange.storing(add_location, exchange.deps, exchange.context, exchange.params["image_id"], document)
    return Reply(202)


async def list_(exchange: Exchange) -> Reply:
    """GET: 200 with a bare array."""
    image = await exchange.blocking(list_locations, exchange.deps, exchange.context, exchange.params["image_id"])
    # shown here regardless of ``show_multiple_locations``
    view = msgspec.structs.replace(exchange.app_state.documents.image_view, locations=True)
    context = exchange.context
    document = image_document(image, view, is_admin=context.is_admin, sees_credentials=context.sees_credentials)
    return json_reply(msgspec.json.encode(document["locations"]))
