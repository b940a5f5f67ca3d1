"""Checks of single values beyond their type. Each returns what is allowed, or None if the value is valid."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import cast
from urllib.parse import urlsplit

from glimpse.settings.database_url import addresses, is_registry

IMPORT_METHODS = ("glance-direct", "web-download", "copy-image", "glance-download")
IMPORT_PLUGINS = ("no_op", "image_decompression", "image_conversion", "inject_image_metadata")
LOG_LEVELS = ("CRITICAL", "ERROR", "WARNING", "WARN", "INFO", "DEBUG", "NOTSET", "TRACE", "AUDIT")
REGISTRY_ROLES = ("api", "admin")
#: Characters of the name of a property, and names that are no custom properties (images-api 2.1).
_PROPERTY_NAME = 255
_ATTRIBUTES = frozenset({
    "id", "name", "status", "visibility", "protected", "os_hidden", "checksum", "os_hash_algo", "os_hash_value",
    "owner", "size", "virtual_size", "container_format", "disk_format", "created_at", "updated_at", "tags",
    "direct_url", "min_ram", "min_disk", "self", "file", "stores", "schema", "locations", "location", "deleted",
    "deleted_at",
})  # fmt: skip
_STORAGE_QUOTA = re.compile(r"[0-9]+(B|KB|MB|GB|TB)?")


def not_empty(value: object) -> str | None:
    """A list or string that is not empty."""
    return None if value else "must not be empty"


def names(value: object) -> str | None:
    """A list of different names, at least one, none of them empty."""
    items = cast("list[str]", value)
    if not items or not all(items):
        return "must list at least one format, and no empty ones"
    return None if len(set(items)) == len(items) else "must not list a format twice"


def containers(value: object) -> str | None:
    """A list of container formats that may be left uninspected."""
    return "must not list bare: bare images are always inspected" if "bare" in cast("list[str]", value) else None


def networks(value: object) -> str | None:
    """A list of IP networks."""
    for item in cast("list[str]", value):
        try:
            ipaddress.ip_network(item)
        except ValueError:
            return f"must be IP addresses or networks such as 10.0.0.0/8, not {item!r}"
    return None


def hash_name(value: object) -> str | None:
    """A hash algorithm of hashlib with a fixed length."""
    name = str(value)
    try:
        known = hashlib.new(name, usedforsecurity=False).digest_size > 0
    except ValueError:
        known = False
    if known:
        return None
    return "must be a hash algorithm of Python's hashlib, for instance sha256, sha512, blake2b"


def http_url(value: object) -> str | None:
    """An absolute http or https URL."""
    allowed = "must be a URL that begins with http:// or https://"
    try:
        parts = urlsplit(str(value))
    except ValueError:
        return allowed
    return None if parts.scheme in {"http", "https"} and parts.netloc else allowed


def node_url(value: object) -> str | None:
    """The URL of a node, to which paths are appended."""
    wrong = http_url(value)
    if wrong is not None:
        return wrong
    parts = urlsplit(str(value))
    if parts.username is not None or parts.query or parts.fragment:
        return "must have neither credentials nor a query"
    return None


def database_url(value: object) -> str | None:
    """The URL of a database."""
    scheme, separator, _ = str(value).partition("://")
    if is_registry(str(value)):
        return _registry_url(str(value))
    if separator and re.fullmatch(r"[a-z0-9+_]+", scheme, re.IGNORECASE):
        return None
    return "must be a database URL, for instance postgresql://user:password@host/glance"


def _registry_url(url: str) -> str | None:
    try:
        addresses(url)
    except ValueError:
        return "must be registry+https://HOST:PORT for a registry; several servers are separated by commas"
    return None


def database_url_or_none(value: object) -> str | None:
    """The same, or nothing."""
    return database_url(value) if value else None


def file_url(value: object) -> str | None:
    """A ``file://`` URL, required for staging (configuration 1)."""
    return None if str(value).startswith("file:///") else "must be a path in the form file:///path"


def import_methods(value: object) -> str | None:
    """Names of import methods (configuration 16, quirk 6)."""
    for item in cast("list[str]", value):
        if item not in IMPORT_METHODS:
            return f"knows {', '.join(IMPORT_METHODS)}, and not {item!r}"
    return None


def import_plugins(value: object) -> str | None:
    """Names of import plugins, each once (imports-and-stores 2.16)."""
    items = cast("list[str]", value)
    for item in items:
        if item not in IMPORT_PLUGINS:
            return f"knows {', '.join(IMPORT_PLUGINS)}, and not {item!r}; plugins of other projects do not run here"
    return None if len(set(items)) == len(items) else "must not list a plugin twice"


def injected_properties(value: object) -> str | None:
    """Names and values of custom properties of images."""
    for name, text in cast("dict[str, str]", value).items():
        if not name or len(name) > _PROPERTY_NAME or "\0" in name + text:
            return f"must have property names of 1 to {_PROPERTY_NAME} characters, and no NUL characters"
        if name in _ATTRIBUTES:
            return f"must have names of custom properties; {name} is an attribute of every image"
    return None


def ports(value: object) -> str | None:
    """A list of TCP ports."""
    for item in cast("list[str]", value):
        if not (item.isascii() and item.isdigit() and 0 < int(item) < 65536):
            return f"must be ports from 1 to 65535, not {item!r}"
    return None


def storage_quota(value: object) -> str | None:
    """Bytes, or a number with a unit (configuration 3)."""
    if _STORAGE_QUOTA.fullmatch(str(value)):
        return None
    return "must be a number of bytes, or a number directly followed by B, KB, MB, GB or TB in upper case"


def log_levels(value: object) -> str | None:
    """A list of ``logger=LEVEL``."""
    for item in cast("list[str]", value):
        name, separator, level = item.partition("=")
        if not (separator and name.strip() and level.strip().upper() in LOG_LEVELS):
            return f"must be pairs logger=LEVEL, not {item!r} (levels: {', '.join(LOG_LEVELS[:6])})"
    return None


def encryption_key(value: object) -> str | None:
    """An AES key, or nothing."""
    if not value or len(str(value).encode()) in {16, 24, 32}:
        return None
    return "must be 16, 24 or 32 bytes long"


def registry_roles(value: object) -> str | None:
    """Names of client certificates with their roles."""
    for name, role in cast("dict[str, str]", value).items():
        if not name or role not in REGISTRY_ROLES:
            return f"must be pairs name:role with the roles {' and '.join(REGISTRY_ROLES)}, not {name}:{role}"
    return None


def zero_or_more(value: object) -> str | None:
    """A number that is not negative."""
    return None if cast("float", value) >= 0 else "must be 0 or more"


def more_than_zero(value: object) -> str | None:
    """A number greater than zero."""
    return None if cast("float", value) > 0 else "must be more than 0"


def directory_name(value: object) -> str | None:
    """A directory whose name can be part of a database URL."""
    return None if value and "?" not in str(value) else "must be the name of a directory, without a question mark"


def octal(value: object) -> str | None:
    """Permissions of a file in octal digits (store-formats 5.5)."""
    if re.fullmatch(r"0?o?[0-7]{1,4}", str(value)):
        return None
    return "must be permissions in octal digits, for instance 640"
