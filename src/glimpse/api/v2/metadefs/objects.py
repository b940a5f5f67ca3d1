"""``/v2/metadefs/namespaces/{namespace}/objects`` and the objects below (metadefs 5.2)."""

from __future__ import annotations

import msgspec

from glimpse.api.exchange import NO_CONTENT, Exchange, Reply, json_reply
from glimpse.api.v2.metadefs import bodies
from glimpse.api.v2.metadefs.documents import object_document, object_echo
from glimpse.api.v2.metadefs.query import check_object_list
from glimpse.domain.metadef import MetadefObject
from glimpse.services.metadefs.items import add_item, clear_items, remove_item, replace_item, show_item
from glimpse.services.metadefs.listing import list_objects

_encode = msgspec.json.Encoder().encode


async def list_(exchange: Exchange) -> Reply:
    """GET: 200 with all objects; ``schema`` has no leading slash, as in Glance."""
    check_object_list(exchange.scope["query_string"])
    namespace = exchange.params["namespace"]
    found = await exchange.blocking(list_objects, exchange.deps, exchange.context, namespace)
    documents = [object_document(one, namespace) for one in found]
    return json_reply(_encode({"objects": documents, "schema": "v2/schemas/metadefs/objects"}))


async def create(exchange: Exchange) -> Reply:
    """POST: 201 with the object as sent, times and links."""
    document, item = await bodies.read_body(exchange, bodies.OBJECT_CREATION, bodies.object_from)
    namespace = exchange.params["namespace"]
    added = await exchange.blocking(add_item, exchange.deps, exchange.context, namespace, item)
    return json_reply(_encode(object_echo(added, namespace, document)), 201)


async def show(exchange: Exchange) -> Reply:
    """GET: 200 with the object."""
    namespace, name = _names(exchange)
    found = await exchange.blocking(show_item, exchange.deps, exchange.context, namespace, MetadefObject, name)
    return json_reply(_encode(object_document(found, namespace)))


async def update(exchange: Exchange) -> Reply:
    """PUT: 200 with the object as sent; ``updated_at`` is the old value (metadefs 14, quirk 9)."""
    document, item = await bodies.read_body(exchange, bodies.OBJECT_UPDATE, bodies.object_from)
    namespace, name = _names(exchange)
    before, after = await exchange.blocking(replace_item, exchange.deps, exchange.context, namespace, name, item)
    shown = msgspec.structs.replace(after, updated_at=before.updated_at)
    return json_reply(_encode(object_echo(shown, namespace, document)))


async def delete(exchange: Exchange) -> Reply:
    """DELETE: 204."""
    namespace, name = _names(exchange)
    await exchange.blocking(remove_item, exchange.deps, exchange.context, namespace, MetadefObject, name)
    return NO_CONTENT


async def delete_all(exchange: Exchange) -> Reply:
    """DELETE of the collection: 204."""
    namespace = exchange.params["namespace"]
    await exchange.blocking(clear_items, exchange.deps, exchange.context, namespace, MetadefObject)
    return NO_CONTENT


def _names(exchange: Exchange) -> tuple[str, str]:
    return exchange.params["namespace"], exchange.params["object_name"]
