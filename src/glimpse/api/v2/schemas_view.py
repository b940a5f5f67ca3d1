"""``/v2/schemas/{name}``."""

from __future__ import annotations

from glimpse.api.errors import Refusal
from glimpse.api.exchange import Exchange, Reply, json_reply


async def show(exchange: Exchange) -> Reply:
    """GET: the encoded schema."""
    body = exchange.app_state.documents.schemas.get(exchange.params["name"])
    if body is None:
        raise Refusal(404, "The resource could not be found.")
    return json_reply(body)
