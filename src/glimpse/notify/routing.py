"""The driver ``routing``: a file defines which driver gets which events.

The file is YAML: groups with arbitrary names contain drivers, each with ``accepted_events`` and
``accepted_priorities``, lists of shell patterns; a missing list accepts everything. A driver gets a message once if any
group accepts it. oslo.messaging has this driver too, but it reads its option from the global configuration and creates
drivers in a way that current ones do not support, so this is our own implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast

import msgspec
import yaml

from glimpse.settings.errors import SettingsError

_OPTION = ("oslo_messaging_notifications", "routing_config")


class Rule(msgspec.Struct, frozen=True):
    """The filter of a driver in one group."""

    accepted_events: tuple[str, ...] | None = None
    accepted_priorities: tuple[str, ...] | None = None

    def accepts(self, event: str, priority: str) -> bool:
        """Tell whether both lists have a matching pattern; the case of priorities does not matter."""
        priorities = None if self.accepted_priorities is None else [p.lower() for p in self.accepted_priorities]
        return _matches(event, self.accepted_events) and _matches(priority.lower(), priorities)


class Rules(msgspec.Struct, frozen=True):
    """All rules of one driver; one accepting rule is enough."""

    rules: tuple[Rule, ...]

    def accepts(self, event: str, priority: str) -> bool:
        """Tell whether the driver gets a message."""
        return any(rule.accepts(event, priority) for rule in self.rules)


def read_routes(path: str) -> Mapping[str, Rules]:
    """Read the rules of each driver from the file at ``path``.

    :raises SettingsError: the file is missing or invalid.
    """
    if not path:
        raise SettingsError.of_option(*_OPTION, "must be set if driver is routing")
    try:
        found = cast("object", yaml.safe_load(Path(path).read_text(encoding="utf-8")))
        groups = msgspec.convert(found or {}, dict[str, dict[str, Rule | None]])
    except OSError as error:
        raise SettingsError.of_option(*_OPTION, f"cannot be read: {error.strerror}", value=path) from error
    except (ValueError, yaml.YAMLError) as error:
        reason = f"is not a valid routing file: {' '.join(str(error).split())}"
        raise SettingsError.of_option(*_OPTION, reason, value=path) from error
    rules: dict[str, list[Rule]] = {}
    for group in groups.values():
        for driver, rule in group.items():
            rules.setdefault(driver, []).append(rule or Rule())
    return {driver: Rules(tuple(found)) for driver, found in rules.items()}


def _matches(text: str, patterns: tuple[str, ...] | list[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(text, pattern) for pattern in patterns)
