"""``/v2/info``: discovery of import methods, stores and usage (imports-and-stores 1)."""

from __future__ import annotations

import msgspec

from glimpse.api.exchange import Exchange, Reply, json_reply
from glimpse.services.discovery import project_usage, stores_detail, stores_info

#: Import does not exist in this version.
_IMPORT_METHODS = {
    "import-methods": {"description": "Import methods available.", "type": "array", "value": list[str]()}
}


async def import_methods(_exchange: Exchange) -> Reply:
    """GET: 200 with the available import methods."""
    return json_reply(msgspec.json.encode(_IMPORT_METHODS))


async def stores(exchange: Exchange) -> Reply:
    """GET: 200 with the named stores, 404 if there are none."""
    return json_reply(msgspec.json.encode({"stores": stores_info(exchange.deps)}))


async def detail(exchange: Exchange) -> Reply:
    """GET: 200 with the configuration of the named stores; 404 if there are none."""
    found = await exchange.blocking(stores_detail, exchange.deps, exchange.context)
    return json_reply(msgspec.json.encode({"stores": found}))


async def usage(exchange: Exchange) -> Reply:
    """GET: 200 with usage and limits of the caller's project."""
    found = await exchange.blocking(project_usage, exchange.deps, exchange.context)
    return json_reply(msgspec.json.encode({"usage": found}))
