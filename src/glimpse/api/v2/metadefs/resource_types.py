"""``/v2/metadefs/resource_types`` and ``/v2/metadefs/namespaces/{namespace}/resource_types`` (metadefs 5.5)."""

from __future__ import annotations

import msgspec

from glimpse.api.request import NO_CONTENT, Reply, Request, json_reply
from glimpse.api.v2.metadefs import bodies
from glimpse.api.v2.metadefs.documents import association_document, resource_type_document
from glimpse.services.metadefs.resource_types import associate, dissociate, list_associations, list_resource_types

_encode = msgspec.json.Encoder().encode


async def list_types(request: Request) -> Reply:
    """GET: 200 with all resource types."""
    found = await request.blocking(list_resource_types, request.deps, request.context)
    return json_reply(_encode({"resource_types": [resource_type_document(one) for one in found]}))


async def list_(request: Request) -> Reply:
    """GET: 200 with the associations of a namespace."""
    namespace = request.params["namespace"]
    found = await request.blocking(list_associations, request.deps, request.context, namespace)
    return json_reply(_encode({"resource_type_associations": [association_document(one) for one in found]}))


async def create(request: Request) -> Reply:
    """POST: 201 with the association."""
    _, association = await bodies.read_body(request, bodies.ASSOCIATION, bodies.association_from)
    namespace = request.params["namespace"]
    added = await request.blocking(associate, request.deps, request.context, namespace, association)
    return json_reply(_encode(association_document(added)), 201)


async def delete(request: Request) -> Reply:
    """DELETE: 204."""
    namespace, resource_type = request.params["namespace"], request.params["resource_type"]
    await request.blocking(dissociate, request.deps, request.context, namespace, resource_type)
    return NO_CONTENT
