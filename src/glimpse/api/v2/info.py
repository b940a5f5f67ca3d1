"""``/v2/info``: discovery of import methods, stores and usage (imports-and-stores 1)."""

from __future__ import annotations

import msgspec

from glimpse.api.request import Reply, Request, json_reply
from glimpse.services.discovery import project_usage, stores_detail, stores_info


async def import_methods(request: Request) -> Reply:
    """GET: 200 with the available import methods."""
    names = request.deps.import_methods.names
    document = {"description": "Import methods available.", "type": "array", "value": names}
    return json_reply(msgspec.json.encode({"import-methods": document}))


async def stores(request: Request) -> Reply:
    """GET: 200 with the named stores, 404 if there are none."""
    return json_reply(msgspec.json.encode({"stores": stores_info(request.deps)}))


async def detail(request: Request) -> Reply:
    """GET: 200 with the configuration of the named stores; 404 if there are none."""
    found = await request.blocking(stores_detail, request.deps, request.context)
    return json_reply(msgspec.json.encode({"stores": found}))


async def usage(request: Request) -> Reply:
    """GET: 200 with usage and limits of the caller's project."""
    found = await request.blocking(project_usage, request.deps, request.context)
    return json_reply(msgspec.json.encode({"usage": found}))
