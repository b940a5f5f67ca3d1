"""``/v2/images/{id}/actions/…``."""

from __future__ import annotations

from glimpse.api.exchange import NO_CONTENT, Exchange, Reply
from glimpse.services.actions import deactivate_image, reactivate_image


async def deactivate(exchange: Exchange) -> Reply:
    """POST: 204."""
    await exchange.blocking(deactivate_image, exchange.deps, exchange.context, exchange.params["image_id"])
    return NO_CONTENT


async def reactivate(exchange: Exchange) -> Reply:
    """POST: 204."""
    await exchange.blocking(reactivate_image, exchange.deps, exchange.context, exchange.params["image_id"])
    return NO_CONTENT
