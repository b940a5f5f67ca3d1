"""``/v2/metadefs/resource_types`` and ``/v2/metadefs/namespaces/{namespace}/resource_types`` (metadefs 5.5)."""

from __future__ import annotations

import msgspec

from glimpse.api.exchange import NO_CONTENT, Exchange, Reply, json_reply
from glimpse.api.v2.metadefs import bodies
from glimpse.api.v2.metadefs.documents import association_document, resource_type_document
from glimpse.services.metadefs.resource_types import associate, dissociate, list_associations, list_resource_types

_encode = msgspec.json.Encoder().encode


async def list_types(exchange: Exchange) -> Reply:
    """GET: 200 with all resource types."""
    found = await exchange.blocking(list_resource_types, exchange.deps, exchange.context)
    return json_reply(_encode({"resource_types": [resource_type_document(one) for one in found]}))


async def list_(exchange: Exchange) -> Reply:
    """GET: 200 with the associations of a namespace."""
    namespace = exchange.params["namespace"]
    found = await exchange.blocking(list_associations, exchange.deps, exchange.context, namespace)
    return json_reply(_encode({"resource_type_associations": [association_document(one) for one in found]}))


async def create(exchange: Exchange) -> Reply:
    """POST: 201 with the association."""
    _, association = await bodies.read_body(exchange, bodies.ASSOCIATION, bodies.association_from)
    namespace = exchange.params["namespace"]
    added = await exchange.blocking(associate, exchange.deps, exchange.context, namespace, association)
    return json_reply(_encode(association_document(added)), 201)


async def delete(exchange: Exchange) -> Reply:
    """DELETE: 204."""
    namespace, resource_type = exchange.params["namespace"], exchange.params["resource_type"]
    await exchange.blocking(dissociate, exchange.deps, exchange.context, namespace, resource_type)
    return NO_CONTENT
