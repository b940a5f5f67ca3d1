"""``/v2/images/{id}/metadefs-report``: an extension that Glance does not have."""

from __future__ import annotations

import msgspec

from glimpse.api.request import Reply, Request, json_reply
from glimpse.services.metadefs.report import report_on_image


async def show(request: Request) -> Reply:
    """GET: 200 with the check of each custom property against the definitions."""
    report = await request.blocking(report_on_image, request.deps, request.context, request.params["image_id"])
    return json_reply(msgspec.json.encode(report))
