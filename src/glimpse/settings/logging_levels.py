"""The logging part of the settings (configuration 12)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Levels of libraries that would otherwise drown the service's own lines, as in the field.
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
    """The fields of ``Logging`` that are made of several options."""
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
