"""Settings that can be read and still must not be served."""

from __future__ import annotations

import ipaddress

from glimpse.settings.model import Settings


def refusals(settings: Settings) -> tuple[str, ...]:
    """Why the service does not start with ``settings``, one sentence each; empty when it does."""
    reasons: list[str] = []
    if settings.auth.kind == "keystone" and not settings.auth.keystone.get("keystone_authtoken"):
        reasons.append(
            "Callers are to come with Keystone tokens, but no [keystone_authtoken] says where Keystone is "
            "and how this service logs in there."
        )
    if settings.auth.kind == "none" and not is_loopback(settings.listen.host):
        reasons.append(
            f"With auth none everybody is admin, so the service does not listen on {settings.listen.host}; "
            "set [glimpse] auth to basic, headers or keystone, or [DEFAULT] bind_host to 127.0.0.1."
        )
    return tuple(reasons)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
