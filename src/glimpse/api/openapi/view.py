"""``/v2/openapi.json``."""

from __future__ import annotations

from glimpse.api.exchange import Exchange, Reply, json_reply


async def show(exchange: Exchange) -> Reply:
    """GET: 200 with the document."""
    return json_reply(exchange.app_state.documents.openapi())
