"""Settings that depend on several options: identity, logging, and the storage quota."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glimpse.settings.errors import SettingsError
from glimpse.settings.model import Auth
from glimpse.settings.options import from_text

# How callers are known: ``[glimpse] auth``, else the paste flavor (ARCHITECTURE.md, Identity; configuration 2)

_WITHOUT_TOKENS = frozenset({"", "caching", "cachemanagement"})
_BEYOND_IDENTITY = frozenset({"keystone", "caching", "cachemanagement"})


def build_auth(fields: Mapping[str, Any], flavor: str) -> Auth:
    """Build the identity settings; ``fields`` are the fields of :class:`Auth` that are set.

    :raises SettingsError: the flavor is unknown, or an option that the method needs is missing.
    """
    kind = fields.get("kind") or auth_of_flavor(flavor)
    auth = from_text({**fields, "kind": kind}, Auth)
    if auth.kind == "basic" and auth.htpasswd_file is None:
        raise SettingsError.of_option("glimpse", "htpasswd_file", "must be set for auth basic")
    if auth.kind == "headers" and not auth.trusted_proxies:
        raise SettingsError.of_option("glimpse", "trusted_proxies", "must list at least one network for auth headers")
    return auth


def auth_of_flavor(flavor: str) -> str:
    """Return ``keystone`` for flavors with tokens, ``none`` for those without.

    :raises SettingsError: it is not one of Glance's flavors.
    """
    parts = flavor.strip().split("+")
    if parts[0] == "keystone" and _BEYOND_IDENTITY.issuperset(parts):
        return "keystone"
    if flavor.strip() in _WITHOUT_TOKENS:
        return "none"
    allowed = "is not a known flavor; set [glimpse] auth to choose how callers are authenticated"
    raise SettingsError.of_option("paste_deploy", "flavor", allowed, value=flavor)


# ---------------------------------------------------------------- The logging part of the settings (configuration 12)

#: Levels of libraries that would otherwise hide the service's own lines; the same as in Glance.
DEFAULT_LOG_LEVELS: tuple[tuple[str, str], ...] = (
    ("amqp", "WARNING"),
    ("boto", "WARNING"),
    ("sqlalchemy", "WARNING"),
    ("suds", "INFO"),
    ("oslo.messaging", "INFO"),
    ("oslo_messaging", "INFO"),
    ("iso8601", "WARNING"),
    ("requests.packages.urllib3.connectionpool", "WARNING"),
    ("urllib3.connectionpool", "WARNING"),
    ("websocket", "WARNING"),
    ("requests.packages.urllib3.util.retry", "WARNING"),
    ("urllib3.util.retry", "WARNING"),
    ("keystonemiddleware", "WARNING"),
    ("routes.middleware", "WARNING"),
    ("stevedore", "WARNING"),
    ("taskflow", "WARNING"),
    ("keystoneauth", "WARNING"),
    ("oslo.cache", "INFO"),
    ("oslo_policy", "INFO"),
    ("dogpile.core.dogpile", "INFO"),
    ("alembic", "WARNING"),
    ("asyncio", "INFO"),
)

_SYNONYMS = {"WARN": "WARNING", "TRACE": "DEBUG", "AUDIT": "INFO"}


def logging_fields(values: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Return the fields of ``Logging`` that depend on several options."""
    fields: dict[str, Any] = {"levels": DEFAULT_LOG_LEVELS}
    levels = values.get(("DEFAULT", "default_log_levels"))
    if levels is not None:
        fields["levels"] = tuple(_level(item) for item in levels)
    file = values.get(("DEFAULT", "log_file"))
    directory = values.get(("DEFAULT", "log_dir"))
    if file or directory:
        fields["file"] = str(Path(directory or "") / (file or "glimpse.log"))
    if ("glimpse", "log_format") not in values and values.get(("DEFAULT", "use_json")):
        fields["format"] = "json"
    return fields


def _level(item: str) -> tuple[str, str]:
    logger, _, level = item.partition("=")
    name = level.strip().upper()
    return logger.strip(), _SYNONYMS.get(name, name)


# ------------------------------------------------------- ``user_storage_quota`` as a number of bytes (images-api 6.2)

_OPTION = ("DEFAULT", "user_storage_quota")
_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def quota_fields(values: Mapping[tuple[str, str], Any]) -> dict[str, int]:
    """Return the field that the option sets, if it is set; its text was already checked."""
    return {"user_storage_quota": quota_bytes(values[_OPTION])} if _OPTION in values else {}


def quota_bytes(text: str) -> int:
    """Parse digits with an optional binary unit into bytes."""
    digits = text.rstrip("BKMGT")
    return int(digits) * _UNITS[text[len(digits) :] or "B"]
