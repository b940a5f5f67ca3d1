"""``/v2/images/{id}/tags/{tag}``."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from glimpse.api.exchange import NO_CONTENT, Exchange, Reply
from glimpse.errors import Invalid
from glimpse.services.tags import add_tag, remove_tag


async def add(exchange: Exchange) -> Reply:
    """PUT: 204, also when the image has the tag already."""
    await exchange.blocking(add_tag, exchange.deps, exchange.context, exchange.params["image_id"], _tag(exchange))
    return NO_CONTENT


async def remove(exchange: Exchange) -> Reply:
    """DELETE: 204, or 404 when the image has no such tag."""
    await exchange.blocking(remove_tag, exchange.deps, exchange.context, exchange.params["image_id"], _tag(exchange))
    return NO_CONTENT


def _tag(exchange: Exchange) -> str:
    """The tag as the client sent it: servers put U+FFFD into ``path`` for bytes that are not UTF-8."""
    tag = exchange.params["tag"]
    if "\ufffd" not in tag:
        return tag
    raw: bytes = exchange.scope["raw_path"]
    try:
        return unquote_to_bytes(raw.rsplit(b"/", 1)[-1]).decode()
    except UnicodeDecodeError:
        raise Invalid("The tag in the path is not valid UTF-8.") from None
