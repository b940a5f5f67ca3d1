"""``/v2/openapi.json``."""

from __future__ import annotations

from glimpse.api.request import Reply, Request, json_reply


async def show(request: Request) -> Reply:
    """GET: 200 with the document."""
    return json_reply(request.app_state.documents.openapi())
