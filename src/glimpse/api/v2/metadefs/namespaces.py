"""``/v2/metadefs/namespaces`` and ``/v2/metadefs/namespaces/{namespace}`` (metadefs 5.1)."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from glimpse.api.request import NO_CONTENT, Reply, Request, json_reply
from glimpse.api.v2.metadefs import bodies
from glimpse.api.v2.metadefs.documents import (
    NAMESPACES,
    created_document,
    listed_document,
    namespace_document,
    whole_document,
)
from glimpse.api.v2.metadefs.query import parse_namespace_list, parse_namespace_show
from glimpse.services.metadefs.namespaces import (
    create_namespace,
    delete_namespace,
    list_namespaces,
    show_namespace,
    update_namespace,
)

_encode = msgspec.json.Encoder().encode

#: Characters that need no encoding in a path.
_PLAIN = ":!$&'()*+,;=@"


async def list_(request: Request) -> Reply:
    """GET: 200 with one page of namespaces and the links to the first and the next one."""
    listing = parse_namespace_list(request.scope["query_string"], request.settings.limits)
    found, last = await request.blocking(list_namespaces, request.deps, request.context, listing.query)
    page: dict[str, object] = {"namespaces": [listed_document(one) for one in found]}
    if last is not None:
        page["next"] = listing.next_link(last)
    page["schema"] = "/v2/schemas/metadefs/namespaces"
    page["first"] = listing.first
    return json_reply(_encode(page))


async def create(request: Request) -> Reply:
    """POST: 201 with the namespace and its absolute Location."""
    project_id = request.context.project_id
    document, content = await bodies.read_body(
        request, bodies.NAMESPACE_CREATION, lambda document: bodies.content_from(document, project_id)
    )
    created = await request.blocking(create_namespace, request.deps, request.context, content)
    location = f"{request.origin()}{NAMESPACES}/{quote(created.namespace.namespace, safe=_PLAIN)}"
    headers = (b"location", location.encode("latin-1", "replace"))
    return json_reply(_encode(created_document(created, document)), 201, headers)


async def show(request: Request) -> Reply:
    """GET: 200 with the namespace and its content."""
    resource_type = parse_namespace_show(request.scope["query_string"])
    name = request.params["namespace"]
    content = await request.blocking(show_namespace, request.deps, request.context, name)
    return json_reply(_encode(whole_document(content, name, resource_type)))


async def update(request: Request) -> Reply:
    """PUT: 200 with the namespace without content; ``updated_at`` is the old value (metadefs 14, quirk 9)."""
    document = await bodies.document_of(request, bodies.NAMESPACE_UPDATE)
    namespace = bodies.namespace_from(document, request.context.project_id)
    name = request.params["namespace"]
    before, after = await request.blocking(update_namespace, request.deps, request.context, name, namespace)
    shown = msgspec.structs.replace(after, updated_at=before.updated_at)
    return json_reply(_encode(namespace_document(shown)))


async def delete(request: Request) -> Reply:
    """DELETE: 204."""
    await request.blocking(delete_namespace, request.deps, request.context, request.params["namespace"])
    return NO_CONTENT
