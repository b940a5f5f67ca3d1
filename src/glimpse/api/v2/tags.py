"""``/v2/images/{id}/tags/{tag}``."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from glimpse.api.exchange import NO_CONTENT, Exchange, Reply
from glimpse.errors import Invalid
from glimpse.services.tags import add_tag, remove_tag


async def add(exchange: Exchange) -> Reply:
    """PUT: 204, even if the image already has the tag."""
    await exchange.blocking(add_tag, exchange.deps, exchange.context, exchange.params["image_id"], _tag(exchange))
    return NO_CONTENT


async def remove(exchange: Exchange) -> Reply:
    """DELETE: 204, or 404 if the image does not have the tag."""
    await exchange.blocking(remove_tag, exchange.deps, exchange.context, exchange.params["image_id"], _tag(exchange))
    return NO_CONTENT


def _tag(exchange: Exchange) -> str:
    """Return the tag from the raw path, because servers replace invalid UTF-8 in ``path`` with U+FFFD."""
    tag = exchange.params["tag"]
    if "\ufffd" not in tag:
        return tag
    raw: bytes = exchange.scope["raw_path"]
    try:
        return unquote_to_bytes(raw.rsplit(b"/", 1)[-1]).decode()
    except UnicodeDecodeError:
        raise Invalid("The tag in the path is not valid UTF-8.") from None
