"""``/v2/metadefs/namespaces/{namespace}/properties`` and the properties below (metadefs 5.3)."""

from __future__ import annotations

import msgspec

from glimpse.api.request import NO_CONTENT, Reply, Request, json_reply
from glimpse.api.v2.metadefs import bodies
from glimpse.api.v2.metadefs.documents import properties_document, property_document
from glimpse.api.v2.metadefs.query import parse_property_show
from glimpse.domain.metadef import MetadefProperty
from glimpse.services.metadefs.items import add_item, clear_items, remove_item, replace_item
from glimpse.services.metadefs.listing import list_properties, show_property

_encode = msgspec.json.Encoder().encode


async def list_(request: Request) -> Reply:
    """GET: 200 with all properties by name."""
    namespace = request.params["namespace"]
    found = await request.blocking(list_properties, request.deps, request.context, namespace)
    return json_reply(_encode({"properties": properties_document(found)}))


async def create(request: Request) -> Reply:
    """POST: 201 with the property."""
    _, item = await bodies.read_body(request, bodies.PROPERTY, bodies.property_from)
    namespace = request.params["namespace"]
    added = await request.blocking(add_item, request.deps, request.context, namespace, item)
    return json_reply(_encode(property_document(added)), 201)


async def show(request: Request) -> Reply:
    """GET: 200 with the property, also by its name with the prefix of a resource type."""
    resource_type = parse_property_show(request.scope["query_string"])
    namespace, name = _names(request)
    found = await request.blocking(show_property, request.deps, request.context, namespace, name, resource_type)
    return json_reply(_encode(property_document(found)))


async def update(request: Request) -> Reply:
    """PUT: 200 with the property."""
    _, item = await bodies.read_body(request, bodies.PROPERTY, bodies.property_from)
    namespace, name = _names(request)
    _, after = await request.blocking(replace_item, request.deps, request.context, namespace, name, item)
    return json_reply(_encode(property_document(after)))


async def delete(request: Request) -> Reply:
    """DELETE: 204."""
    namespace, name = _names(request)
    await request.blocking(remove_item, request.deps, request.context, namespace, MetadefProperty, name)
    return NO_CONTENT


async def delete_all(request: Request) -> Reply:
    """DELETE of the collection: 204."""
    namespace = request.params["namespace"]
    await request.blocking(clear_items, request.deps, request.context, namespace, MetadefProperty)
    return NO_CONTENT


def _names(request: Request) -> tuple[str, str]:
    return request.params["namespace"], request.params["property_name"]
