"""``/v2/images/{id}/actions/…``."""

from __future__ import annotations

from glimpse.api.request import NO_CONTENT, Reply, Request
from glimpse.services.actions import deactivate_image, reactivate_image


async def deactivate(request: Request) -> Reply:
    """POST: 204."""
    await request.blocking(deactivate_image, request.deps, request.context, request.params["image_id"])
    return NO_CONTENT


async def reactivate(request: Request) -> Reply:
    """POST: 204."""
    await request.blocking(reactivate_image, request.deps, request.context, request.params["image_id"])
    return NO_CONTENT
