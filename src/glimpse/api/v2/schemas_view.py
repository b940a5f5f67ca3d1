"""``/v2/schemas/{name}``."""

from __future__ import annotations

from glimpse.api.errors import Refusal
from glimpse.api.request import Reply, Request, json_reply


async def show(request: Request) -> Reply:
    """GET: the encoded schema."""
    body = request.app_state.documents.schemas.get(request.params["name"])
    if body is None:
        raise Refusal(404, "The resource could not be found.")
    return json_reply(body)
