"""``/v2/images/{id}/metadefs-report``: own extension, nothing of Glance's."""

from __future__ import annotations

import msgspec

from glimpse.api.exchange import Exchange, Reply, json_reply
from glimpse.services.metadefs.report import report_on_image


async def show(exchange: Exchange) -> Reply:
    """GET: 200 with what the definitions say of each custom property."""
    report = await exchange.blocking(report_on_image, exchange.deps, exchange.context, exchange.params["image_id"])
    return json_reply(msgspec.json.encode(report))
