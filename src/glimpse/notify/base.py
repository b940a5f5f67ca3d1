"""What notifications are sent through, seen from the services and from the drivers.

The services hold a ``Notifier | None``: None where nothing is configured, so that a request then does not come here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

#: The fields of a message and their values (configuration 11.1).
Message = dict[str, Any]

#: Is told the driver and ``sent``, ``failed`` or ``dropped`` of each message, from any thread.
CountOutcome = Callable[[str, str], None]


class Notifier(Protocol):
    """Takes notifications from requests. Nothing here waits for anything, and nothing raises."""

    def enabled(self, event: str) -> bool:
        """Whether ``event`` goes anywhere; ask before a payload is built."""
        ...

    def emit(self, event: str, payload: Mapping[str, object] | str, *, error: bool = False) -> None:
        """Send ``payload`` as ``event``, with priority ERROR or INFO.

        It is taken down as it is now and delivered later, after what was emitted before. Where it cannot be taken or
        delivered it is dropped, and counted.
        """
        ...


class SendFailed(Exception):
    """A driver could not deliver a message and has given it up; the text says why and holds no secret."""


class BrokerAway(SendFailed):
    """The message could not be delivered now, and may be tried again as long as there is time."""


class Driver(Protocol):
    """One way out of the process. One thread calls it, one message at a time."""

    @property
    def name(self) -> str:
        """As the option ``driver`` calls it."""
        ...

    def send(self, message: Message) -> None:
        """Deliver ``message``, which belongs to the driver from now on; may wait for a broker for ever.

        :raises BrokerAway: give it to the driver again later.
        :raises SendFailed: the message is lost.
        """
        ...

    def close(self) -> None:
        """Let go of connections; nothing is sent afterwards."""
        ...
