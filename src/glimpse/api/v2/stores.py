"""``/v2/stores/{store}/{id}``: the copy of an image in one store (imports-and-stores 4.6)."""

from __future__ import annotations

from glimpse.api.request import NO_CONTENT, Reply, Request
from glimpse.services.stores import delete_from_store


async def delete(request: Request) -> Reply:
    """DELETE: 204 once the copy is removed."""
    store_id, image_id = request.params["store_id"], request.params["image_id"]
    await request.storing(delete_from_store, request.deps, request.context, store_id, image_id)
    return NO_CONTENT
