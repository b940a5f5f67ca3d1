"""``/v2/metadefs/namespaces/{namespace}/tags`` and the tags below (metadefs 5.4 and 9)."""

from __future__ import annotations

import msgspec

from glimpse.api.request import NO_CONTENT, Reply, Request, json_reply
from glimpse.api.v2.metadefs import bodies
from glimpse.api.v2.metadefs.documents import tag_document
from glimpse.api.v2.metadefs.query import parse_tag_list
from glimpse.domain.metadef import MetadefTag
from glimpse.services.metadefs.items import clear_items, remove_item, replace_item, show_item
from glimpse.services.metadefs.listing import list_tags
from glimpse.services.metadefs.tags import add_tag, add_tags

_encode = msgspec.json.Encoder().encode
_TRUE = frozenset({"true", "1", "t", "y", "yes", "on"})


async def list_(request: Request) -> Reply:
    """GET: 200 with one page of tags, or all tags without ``limit``."""
    query = parse_tag_list(request.scope["query_string"])
    namespace = request.params["namespace"]
    found = await request.blocking(list_tags, request.deps, request.context, namespace, query)
    return _tags([tag.name for tag in found])


async def create_many(request: Request) -> Reply:
    """POST to the collection: 201 with the tags that were sent; they replace all others or are appended."""
    document = await bodies.document_of(request, bodies.TAGS)
    names = [tag["name"] for tag in document["tags"]]
    append = request.headers.get("x-openstack-append", "").strip().lower() in _TRUE
    namespace = request.params["namespace"]
    await request.blocking(add_tags, request.deps, request.context, namespace, names, append)
    return _tags(names, 201)


async def create(request: Request) -> Reply:
    """POST: 201 with the tag."""
    namespace, name = _names(request)
    added = await request.blocking(add_tag, request.deps, request.context, namespace, name)
    return json_reply(_encode(tag_document(added)), 201)


async def show(request: Request) -> Reply:
    """GET: 200 with the tag."""
    namespace, name = _names(request)
    found = await request.blocking(show_item, request.deps, request.context, namespace, MetadefTag, name)
    return json_reply(_encode(tag_document(found)))


async def update(request: Request) -> Reply:
    """PUT: 200 with the tag under its new name; ``updated_at`` is the old value (metadefs 14, quirk 9)."""
    document = await bodies.document_of(request, bodies.TAG)
    namespace, name = _names(request)
    item = MetadefTag(name=document["name"])
    before, after = await request.blocking(replace_item, request.deps, request.context, namespace, name, item)
    return json_reply(_encode(tag_document(msgspec.structs.replace(after, updated_at=before.updated_at))))


async def delete(request: Request) -> Reply:
    """DELETE: 204."""
    namespace, name = _names(request)
    await request.blocking(remove_item, request.deps, request.context, namespace, MetadefTag, name)
    return NO_CONTENT


async def delete_all(request: Request) -> Reply:
    """DELETE of the collection: 204."""
    namespace = request.params["namespace"]
    await request.blocking(clear_items, request.deps, request.context, namespace, MetadefTag)
    return NO_CONTENT


def _tags(names: list[str], status: int = 200) -> Reply:
    return json_reply(_encode({"tags": [{"name": name} for name in names]}), status)


def _names(request: Request) -> tuple[str, str]:
    return request.params["namespace"], request.params["tag_name"]
