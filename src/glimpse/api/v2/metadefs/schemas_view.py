"""``/v2/schemas/metadefs/{metadef_schema}``."""

from __future__ import annotations

from glimpse.api.errors import Refusal
from glimpse.api.request import Reply, Request, json_reply
from glimpse.api.v2.metadefs.schemas import BODIES


async def show(request: Request) -> Reply:
    """GET: 200 with the encoded schema."""
    body = BODIES.get(request.params["metadef_schema"])
    if body is None:
        raise Refusal(404, "The resource could not be found.")
    return json_reply(body)
