"""The driver ``log``: each message as one line of JSON in the log of the service (configuration 11.1)."""

from __future__ import annotations

import logging

import msgspec
from oslo_utils.strutils import mask_dict_password

from glimpse.notify.base import Message

#: The field's name, which operators' logging files may refer to.
LOGGER = "oslo.messaging.notification"


class LogDriver:
    """Logs with a logger of the event's own, at the level of the message's priority; passwords are masked."""

    name = "log"

    def send(self, message: Message) -> None:
        """See :meth:`glimpse.notify.base.Driver.send`."""
        level = logging.ERROR if message["priority"] == "ERROR" else logging.INFO
        logger = logging.getLogger(f"{LOGGER}.{message['event_type']}")
        if logger.isEnabledFor(level):
            logger.log(level, "%s", msgspec.json.encode(mask_dict_password(message)).decode())

    def close(self) -> None:
        """Nothing to let go of."""
