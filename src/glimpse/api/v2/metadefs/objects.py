"""``/v2/metadefs/namespaces/{namespace}/objects`` and the objects below (metadefs 5.2)."""

from __future__ import annotations

import msgspec

from glimpse.api.request import NO_CONTENT, Reply, Request, json_reply
from glimpse.api.v2.metadefs import bodies
from glimpse.api.v2.metadefs.documents import object_document, object_echo
from glimpse.api.v2.metadefs.query import check_object_list
from glimpse.domain.metadef import MetadefObject
from glimpse.services.metadefs.items import add_item, clear_items, remove_item, replace_item, show_item
from glimpse.services.metadefs.listing import list_objects

_encode = msgspec.json.Encoder().encode


async def list_(request: Request) -> Reply:
    """GET: 200 with all objects; ``schema`` has no leading slash, as in Glance."""
    check_object_list(request.scope["query_string"])
    namespace = request.params["namespace"]
    found = await request.blocking(list_objects, request.deps, request.context, namespace)
    documents = [object_document(one, namespace) for one in found]
    return json_reply(_encode({"objects": documents, "schema": "v2/schemas/metadefs/objects"}))


async def create(request: Request) -> Reply:
    """POST: 201 with the object as sent, times and links."""
    document, item = await bodies.read_body(request, bodies.OBJECT_CREATION, bodies.object_from)
    namespace = request.params["namespace"]
    added = await request.blocking(add_item, request.deps, request.context, namespace, item)
    return json_reply(_encode(object_echo(added, namespace, document)), 201)


async def show(request: Request) -> Reply:
    """GET: 200 with the object."""
    namespace, name = _names(request)
    found = await request.blocking(show_item, request.deps, request.context, namespace, MetadefObject, name)
    return json_reply(_encode(object_document(found, namespace)))


async def update(request: Request) -> Reply:
    """PUT: 200 with the object as sent; ``updated_at`` is the old value (metadefs 14, quirk 9)."""
    document, item = await bodies.read_body(request, bodies.OBJECT_UPDATE, bodies.object_from)
    namespace, name = _names(request)
    before, after = await request.blocking(replace_item, request.deps, request.context, namespace, name, item)
    shown = msgspec.structs.replace(after, updated_at=before.updated_at)
    return json_reply(_encode(object_echo(shown, namespace, document)))


async def delete(request: Request) -> Reply:
    """DELETE: 204."""
    namespace, name = _names(request)
    await request.blocking(remove_item, request.deps, request.context, namespace, MetadefObject, name)
    return NO_CONTENT


async def delete_all(request: Request) -> Reply:
    """DELETE of the collection: 204."""
    namespace = request.params["namespace"]
    await request.blocking(clear_items, request.deps, request.context, namespace, MetadefObject)
    return NO_CONTENT


def _names(request: Request) -> tuple[str, str]:
    return request.params["namespace"], request.params["object_name"]
