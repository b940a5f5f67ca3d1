"""``/v2/metadefs/namespaces/{namespace}/tags`` and the tags below (metadefs 5.4 and 9)."""

from __future__ import annotations

import msgspec

from glimpse.api.exchange import NO_CONTENT, Exchange, Reply, json_reply
from glimpse.api.v2.metadefs import bodies
from glimpse.api.v2.metadefs.documents import tag_document
from glimpse.api.v2.metadefs.query import parse_tag_list
from glimpse.domain.metadef import MetadefTag
from glimpse.services.metadefs.items import clear_items, remove_item, replace_item, show_item
from glimpse.services.metadefs.listing import list_tags
from glimpse.services.metadefs.tags import add_tag, add_tags

_encode = msgspec.json.Encoder().encode
_TRUE = frozenset({"true", "1", "t", "y", "yes", "on"})


async def list_(exchange: Exchange) -> Reply:
    """GET: 200 with one page of tags, or all tags without ``limit``."""
    query = parse_tag_list(exchange.scope["query_string"])
    namespace = exchange.params["namespace"]
    found = await exchange.blocking(list_tags, exchange.deps, exchange.context, namespace, query)
    return _tags([tag.name for tag in found])


async def create_many(exchange: Exchange) -> Reply:
    """POST to the collection: 201 with the tags that were sent; they replace all others or are appended."""
    document = await bodies.document_of(exchange, bodies.TAGS)
    names = [tag["name"] for tag in document["tags"]]
    append = exchange.headers.get("x-openstack-append", "").strip().lower() in _TRUE
    namespace = exchange.params["namespace"]
    await exchange.blocking(add_tags, exchange.deps, exchange.context, namespace, names, append)
    return _tags(names, 201)


async def create(exchange: Exchange) -> Reply:
    """POST: 201 with the tag."""
    namespace, name = _names(exchange)
    added = await exchange.blocking(add_tag, exchange.deps, exchange.context, namespace, name)
    return json_reply(_encode(tag_document(added)), 201)


async def show(exchange: Exchange) -> Reply:
    """GET: 200 with the tag."""
    namespace, name = _names(exchange)
    found = await exchange.blocking(show_item, exchange.deps, exchange.context, namespace, MetadefTag, name)
    return json_reply(_encode(tag_document(found)))


async def update(exchange: Exchange) -> Reply:
    """PUT: 200 with the tag under its new name; ``updated_at`` is the old value (metadefs 14, quirk 9)."""
    document = await bodies.document_of(exchange, bodies.TAG)
    namespace, name = _names(exchange)
    item = MetadefTag(name=document["name"])
    before, after = await exchange.blocking(replace_item, exchange.deps, exchange.context, namespace, name, item)
    return json_reply(_encode(tag_document(msgspec.structs.replace(after, updated_at=before.updated_at))))


async def delete(exchange: Exchange) -> Reply:
    """DELETE: 204."""
    namespace, name = _names(exchange)
    await exchange.blocking(remove_item, exchange.deps, exchange.context, namespace, MetadefTag, name)
    return NO_CONTENT


async def delete_all(exchange: Exchange) -> Reply:
    """DELETE of the collection: 204."""
    namespace = exchange.params["namespace"]
    await exchange.blocking(clear_items, exchange.deps, exchange.context, namespace, MetadefTag)
    return NO_CONTENT


def _tags(names: list[str], status: int = 200) -> Reply:
    return json_reply(_encode({"tags": [{"name": name} for name in names]}), status)


def _names(exchange: Exchange) -> tuple[str, str]:
    return exchange.params["namespace"], exchange.params["tag_name"]
