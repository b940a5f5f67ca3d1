"""The notifier of one process: selects events and builds messages (configuration 11.1, 11.4)."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast

import msgspec
import yaml

from glimpse.notify.base import Message
from glimpse.notify.queue import Outbox, Pace
from glimpse.settings.errors import SettingsError

# ---------------------------------------------- The driver ``routing``: a file defines which driver gets which events
# The file is YAML: groups with arbitrary names contain drivers, each with ``accepted_events`` and
# ``accepted_priorities``, lists of shell patterns; a missing list accepts everything. A driver gets a message once
# if any group accepts it. oslo.messaging has this driver too, but it reads its option from the global configuration
# and creates drivers in a way that current ones do not support, so this is our own implementation.

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


LOG = logging.getLogger(__name__)

#: Decides by event and priority whether a driver gets a message.
Accepts = Callable[[str, str], bool]


class Route(msgspec.Struct, frozen=True):
    """One driver's outbox, and its filter; without ``accepts`` it gets all messages."""

    outbox: Outbox
    accepts: Accepts | None = None


class QueuedNotifier:
    """The :class:`~glimpse.notify.base.Notifier` over the outboxes of the configured drivers."""

    def __init__(self, routes: Sequence[Route], *, publisher_id: str, disabled: Iterable[str] = ()) -> None:
        """``disabled`` lists events, or prefixes of events that end before a dot."""
        self.routes = tuple(routes)
        self._publisher_id = publisher_id
        self._disabled = frozenset(disabled)
        self._enabled: dict[str, bool] = {}
        self._failure_lines = Pace()

    def enabled(self, event: str) -> bool:
        """See :meth:`glimpse.notify.base.Notifier.enabled`."""
        known = self._enabled.get(event)
        if known is None:
            parts = event.split(".")
            names = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
            known = self._enabled[event] = self._disabled.isdisjoint(names)
        return known

    def emit(self, event: str, payload: Mapping[str, object] | str, *, error: bool = False) -> None:
        """See :meth:`glimpse.notify.base.Notifier.emit`."""
        priority = "ERROR" if error else "INFO"
        message = new_message(self._publisher_id, event, priority, payload)
        try:
            # encoded, so that its memory use is known and it does not change any more
            encoded = msgspec.json.encode(message)
        except (TypeError, ValueError, OverflowError):
            if self._failure_lines.due():
                LOG.exception("A notification %s cannot be encoded as JSON and is dropped", event)
            encoded = None
        for route in self.routes:
            if route.accepts is None or route.accepts(event, priority):
                if encoded is None:
                    route.outbox.drop()
                else:
                    route.outbox.put(encoded)

    def close(self, seconds: float) -> None:
        """Send the waiting messages, for at most ``seconds``, and stop. Safe to call twice."""
        deadline = time.monotonic() + seconds
        for route in self.routes:
            route.outbox.close(deadline)


def new_message(publisher_id: str, event: str, priority: str, payload: Mapping[str, object] | str) -> Message:
    """Build a message with a new id and the current time, without a request context."""
    return {
        "message_id": str(uuid.uuid4()),
        "publisher_id": publisher_id,
        "event_type": event,
        "priority": priority,
        "payload": payload,
        "timestamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
    }
