"""``/v2/stores/{store}/{id}``: the copy of an image in one store (imports-and-stores 4.6)."""

from __future__ import annotations

from glimpse.api.exchange import NO_CONTENT, Exchange, Reply
from glimpse.services.stores import delete_from_store


async def delete(exchange: Exchange) -> Reply:
    """DELETE: 204 once the copy is removed."""
    store_id, image_id = exchange.params["store_id"], exchange.params["image_id"]
    await exchange.storing(delete_from_store, exchange.deps, exchange.context, store_id, image_id)
    return NO_CONTENT
