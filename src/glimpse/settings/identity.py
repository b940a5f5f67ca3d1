"""How callers are known: ``[glimpse] auth``, else the paste flavor (ARCHITECTURE.md, Identity; configuration 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glimpse.settings.convert import from_text
from glimpse.settings.errors import SettingsError
from glimpse.settings.model import Auth

_WITHOUT_TOKENS = frozenset({"", "caching", "cachemanagement"})
_BEYOND_IDENTITY = frozenset({"keystone", "caching", "cachemanagement"})


def build_auth(fields: Mapping[str, Any], flavor: str) -> Auth:
    """The identity settings; ``fields`` are those of :class:`Auth` that are set.

    :raises SettingsError: the flavor says nothing of identity, or what the kind needs is missing.
    """
    kind = fields.get("kind") or auth_of_flavor(flavor)
    auth = from_text({**fields, "kind": kind}, Auth)
    if auth.kind == "basic" and auth.htpasswd_file is None:
        raise SettingsError.of_option("glimpse", "htpasswd_file", "must be set for auth basic")
    if auth.kind == "headers" and not auth.trusted_proxies:
        raise SettingsError.of_option("glimpse", "trusted_proxies", "must name a network for auth headers")
    return auth


def auth_of_flavor(flavor: str) -> str:
    """``keystone`` for flavors with tokens, ``none`` for those without.

    :raises SettingsError: it is none of the field's flavors.
    """
    parts = flavor.strip().split("+")
    if parts[0] == "keystone" and _BEYOND_IDENTITY.issuperset(parts):
        return "keystone"
    if flavor.strip() in _WITHOUT_TOKENS:
        return "none"
    allowed = "is no flavor that is known here; say in [glimpse] auth how callers are known"
    raise SettingsError.of_option("paste_deploy", "flavor", allowed, value=flavor)
