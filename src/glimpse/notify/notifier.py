"""The notifier of one process: selects events and builds messages (configuration 11.1, 11.4)."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from glimpse.notify.base import Message
from glimpse.notify.queue import Outbox, Pace

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
