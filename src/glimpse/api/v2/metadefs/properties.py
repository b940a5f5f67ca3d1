"""``/v2/metadefs/namespaces/{namespace}/properties`` and the properties below (metadefs 5.3)."""

from __future__ import annotations

import msgspec

from glimpse.api.exchange import NO_CONTENT, Exchange, Reply, json_reply
from glimpse.api.v2.metadefs import bodies
from glimpse.api.v2.metadefs.documents import properties_document, property_document
from glimpse.api.v2.metadefs.query import parse_property_show
from glimpse.domain.metadef import MetadefProperty
from glimpse.services.metadefs.items import add_item, clear_items, remove_item, replace_item
from glimpse.services.metadefs.listing import list_properties, show_property

_encode = msgspec.json.Encoder().encode


async def list_(exchange: Exchange) -> Reply:
    """GET: 200 with all properties by name."""
    namespace = exchange.params["namespace"]
    found = await exchange.blocking(list_properties, exchange.deps, exchange.context, namespace)
    return json_reply(_encode({"properties": properties_document(found)}))


async def create(exchange: Exchange) -> Reply:
    """POST: 201 with the property."""
    _, item = await bodies.read_body(exchange, bodies.PROPERTY, bodies.property_from)
    namespace = exchange.params["namespace"]
    added = await exchange.blocking(add_item, exchange.deps, exchange.context, namespace, item)
    return json_reply(_encode(property_document(added)), 201)


async def show(exchange: Exchange) -> Reply:
    """GET: 200 with the property, also by its name with the prefix of a resource type."""
    resource_type = parse_property_show(exchange.scope["query_string"])
    namespace, name = _names(exchange)
    found = await exchange.blocking(show_property, exchange.deps, exchange.context, namespace, name, resource_type)
    return json_reply(_encode(property_document(found)))


async def update(exchange: Exchange) -> Reply:
    """PUT: 200 with the property."""
    _, item = await bodies.read_body(exchange, bodies.PROPERTY, bodies.property_from)
    namespace, name = _names(exchange)
    _, after = await exchange.blocking(replace_item, exchange.deps, exchange.context, namespace, name, item)
    return json_reply(_encode(property_document(after)))


async def delete(exchange: Exchange) -> Reply:
    """DELETE: 204."""
    namespace, name = _names(exchange)
    await exchange.blocking(remove_item, exchange.deps, exchange.context, namespace, MetadefProperty, name)
    return NO_CONTENT


async def delete_all(exchange: Exchange) -> Reply:
    """DELETE of the collection: 204."""
    namespace = exchange.params["namespace"]
    await exchange.blocking(clear_items, exchange.deps, exchange.context, namespace, MetadefProperty)
    return NO_CONTENT


def _names(exchange: Exchange) -> tuple[str, str]:
    return exchange.params["namespace"], exchange.params["property_name"]
