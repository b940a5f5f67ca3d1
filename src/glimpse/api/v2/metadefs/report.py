"""``/v2/images/{id}/metadefs-report``: an extension that Glance does not have."""

from __future__ import annotations

import msgspec

from glimpse.api.exchange import Exchange, Reply, json_reply
from glimpse.services.metadefs.report import report_on_image


async def show(exchange: Exchange) -> Reply:
    """GET: 200 with the check of each custom property against the definitions."""
    report = await exchange.blocking(report_on_image, exchange.deps, exchange.context, exchange.params["image_id"])
    return json_reply(msgspec.json.encode(report))
