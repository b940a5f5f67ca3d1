"""The driver ``log``: writes each message as one line of JSON to the service's log (configuration 11.1)."""

from __future__ import annotations

import logging

import msgspec
from oslo_utils.strutils import mask_dict_password

from glimpse.notify.base import Message

#: The logger's usual name in OpenStack, to which operators' logging files may refer.
LOGGER = "oslo.messaging.notification"


class LogDriver:
    """Logs with one logger per event, at the level of the message's priority; passwords are masked."""

    name = "log"

    def send(self, message: Message) -> None:
        """See :meth:`glimpse.notify.base.Driver.send`."""
        level = logging.ERROR if message["priority"] == "ERROR" else logging.INFO
        logger = logging.getLogger(f"{LOGGER}.{message['event_type']}")
        if logger.isEnabledFor(level):
            logger.log(level, "%s", msgspec.json.encode(mask_dict_password(message)).decode())

    def close(self) -> None:
        """Do nothing."""
