"""The notification interfaces for services and for drivers.

Services have a ``Notifier | None``: None if nothing is configured, so that requests do no work here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

#: The fields of a message and their values (configuration 11.1).
Message = dict[str, Any]

#: Called with the driver and ``sent``, ``failed`` or ``dropped`` for each message, from any thread.
CountOutcome = Callable[[str, str], None]


class Notifier(Protocol):
    """Accepts notifications from requests. Its methods never wait and never raise."""

    def enabled(self, event: str) -> bool:
        """Tell whether ``event`` is sent at all; call it before building a payload."""
        ...

    def emit(self, event: str, payload: Mapping[str, object] | str, *, error: bool = False) -> None:
        """Send ``payload`` as ``event``, with priority ERROR or INFO.

        The payload is encoded now and sent later, after earlier messages. A message that cannot be queued or sent is
        dropped and counted.
        """
        ...


class SendFailed(Exception):
    """A driver could not deliver a message and gave up; the text gives the reason and contains no secret."""


class BrokerAway(SendFailed):
    """The message could not be delivered now; it may be retried as long as there is time."""


class Driver(Protocol):
    """Sends messages out of the process. One thread calls it, one message at a time."""

    @property
    def name(self) -> str:
        """The driver's name in the option ``driver``."""
        ...

    def send(self, message: Message) -> None:
        """Deliver ``message``, which the driver may modify; may wait for a broker forever.

        :raises BrokerAway: the caller should retry later.
        :raises SendFailed: the message is lost.
        """
        ...

    def close(self) -> None:
        """Close connections; nothing is sent afterwards."""
        ...
