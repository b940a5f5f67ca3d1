"""``/healthcheck``: answers with one ``stat``, never waits for storage (images-api 1.6).

A store that is down is named. The node stays in service, because other stores and all metadata still work; options
change this.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from html import escape
from typing import Any

import msgspec

from glimpse.api.request import Reply
from glimpse.settings.model import Api
from glimpse.stores.health import StoreHealth, StoreState

PAGE = "<!doctype html><html><head><title>Health</title></head><body><h1>{}</h1>{}</body></html>"


def is_healthcheck(path: str) -> bool:
    """Tell whether ``path`` is the health check or below it."""
    return path == "/healthcheck" or path.startswith("/healthcheck/")


class HealthCheck:
    """Builds the responses of one process."""

    def __init__(self, options: Api, stores: StoreHealth) -> None:
        self._options = options
        self._stores = stores
        self._networks = [ipaddress.ip_network(text) for text in options.healthcheck_ranges]

    def answers(self, client: tuple[str, int] | None) -> bool:
        """Tell whether the health check answers this client (``[healthcheck] allowed_source_ranges``)."""
        if not self._networks:
            return True
        try:
            address = ipaddress.ip_address(client[0] if client else "")
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)

    def reply(self, method: str, accept: str | None) -> Reply:
        """Build the response: 503 while the node is disabled or lacks a required store."""
        down = self._stores.down()
        disabled = self._options.healthcheck_disable_file.exists()
        required = any(state.id in self._options.healthcheck_required_stores for state in down)
        status = 503 if disabled or required else 200
        if method == "HEAD":
            return Reply(204 if status == 200 else 503)
        first = "DISABLED BY FILE" if disabled else "STORE DOWN" if required else "OK"
        reasons = [first, *(self._reason(state) for state in down)]
        if accept is not None and "application/json" in accept:
            body: dict[str, Any] = {"detailed": self._options.healthcheck_detailed, "reasons": reasons}
            if self._options.healthcheck_detailed:
                body["stores"] = [_detail(state) for state in self._stores.states()]
            return Reply(status, msgspec.json.encode(body), ((b"content-type", b"application/json"),))
        if accept is not None and "text/html" in accept:
            page = PAGE.format(first, "".join(f"<p>{escape(reason)}</p>" for reason in reasons[1:]))
            return Reply(status, page.encode(), ((b"content-type", b"text/html; charset=UTF-8"),))
        return Reply(status, "\n".join(reasons).encode(), ((b"content-type", b"text/plain; charset=UTF-8"),))

    def _reason(self, state: StoreState) -> str:
        detail = f": {state.reason}" if self._options.healthcheck_detailed else ""
        return f"Store {state.id} is down{detail}"


def _detail(state: StoreState) -> dict[str, object]:
    if state.up or state.since is None:
        return {"id": state.id, "up": state.up}
    since = datetime.fromtimestamp(state.since, UTC).isoformat(timespec="seconds")
    return {"id": state.id, "up": False, "reason": state.reason, "since": since}
