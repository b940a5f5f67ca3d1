"""``/v2/metadefs/namespaces`` and ``/v2/metadefs/namespaces/{namespace}`` (metadefs 5.1)."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from glimpse.api.exchange import NO_CONTENT, Exchange, Reply, json_reply
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


async def list_(exchange: Exchange) -> Reply:
    """GET: 200 with one page of namespaces and the links to the first and the next one."""
    request = parse_namespace_list(exchange.scope["query_string"], exchange.settings.limits)
    found, last = await exchange.blocking(list_namespaces, exchange.deps, exchange.context, request.query)
    page: dict[str, object] = {"namespaces": [listed_document(one) for one in found]}
    if last is not None:
        page["next"] = request.next_link(last)
    page["schema"] = "/v2/schemas/metadefs/namespaces"
    page["first"] = request.first
    return json_reply(_encode(page))


async def create(exchange: Exchange) -> Reply:
    """POST: 201 with the namespace and its absolute Location."""
    project_id = exchange.context.project_id
    document, content = await bodies.read_body(
        exchange, bodies.NAMESPACE_CREATION, lambda document: bodies.content_from(document, project_id)
    )
    created = await exchange.blocking(create_namespace, exchange.deps, exchange.context, content)
    location = f"{exchange.origin()}{NAMESPACES}/{quote(created.namespace.namespace, safe=_PLAIN)}"
    headers = (b"location", location.encode("latin-1", "replace"))
    return json_reply(_encode(created_document(created, document)), 201, headers)


async def show(exchange: Exchange) -> Reply:
    """GET: 200 with the namespace and its content."""
    resource_type = parse_namespace_show(exchange.scope["query_string"])
    name = exchange.params["namespace"]
    content = await exchange.blocking(show_namespace, exchange.deps, exchange.context, name)
    return json_reply(_encode(whole_document(content, name, resource_type)))


async def update(exchange: Exchange) -> Reply:
    """PUT: 200 with the namespace without content; ``updated_at`` is the old value (metadefs 14, quirk 9)."""
    document = await bodies.document_of(exchange, bodies.NAMESPACE_UPDATE)
    namespace = bodies.namespace_from(document, exchange.context.project_id)
    name = exchange.params["namespace"]
    before, after = await exchange.blocking(update_namespace, exchange.deps, exchange.context, name, namespace)
    shown = msgspec.structs.replace(after, updated_at=before.updated_at)
    return json_reply(_encode(namespace_document(shown)))


async def delete(exchange: Exchange) -> Reply:
    """DELETE: 204."""
    await exchange.blocking(delete_namespace, exchange.deps, exchange.context, exchange.params["namespace"])
    return NO_CONTENT
