"""The list of drivers, and the notifier built from the configured ones."""

from __future__ import annotations

import logging

import msgspec
from oslo_utils.strutils import mask_dict_password

from glimpse.notify.base import CountOutcome, Driver, Message
from glimpse.notify.notifier import Accepts, QueuedNotifier, Route, read_routes
from glimpse.notify.queue import Outbox
from glimpse.settings.model import NotificationOptions

# The driver ``log``: writes each message as one line of JSON to the service's log (configuration 11.1)

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


def build_notifier(options: NotificationOptions, count: CountOutcome | None = None) -> QueuedNotifier | None:
    """Build the configured notifier; None if nothing is to be sent.

    Call it in the serving process. ``count`` is called with the outcome of each message.

    :raises SettingsError: a driver or its options are invalid.
    """
    accepted = _accepted(options)
    if not accepted:
        return None
    routes = [Route(Outbox(_driver(name, options), count or _nobody), accepts) for name, accepts in accepted.items()]
    return QueuedNotifier(routes, publisher_id=options.publisher_id, disabled=options.disabled)


def _accepted(options: NotificationOptions) -> dict[str, Accepts | None]:
    """Map each driver to its filter, None for everything; ``routing`` stands for the drivers in its file."""
    accepted: dict[str, Accepts | None] = {}
    if "routing" in options.drivers:
        for name, rules in read_routes(options.routing_config).items():
            accepted[name] = rules.accepts
    # a driver that is also configured outside the file gets everything, once
    accepted.update(dict.fromkeys(options.drivers))
    return {name: accepts for name, accepts in accepted.items() if name not in {"routing", "noop"}}


def _driver(name: str, options: NotificationOptions) -> Driver:
    if name == "log":
        return LogDriver()
    # imported here, because the library takes a third of a second and 20 MiB
    from glimpse.notify.messaging import messaging_driver  # noqa: PLC0415

    return messaging_driver(name, options)


def _nobody(_driver: str, _outcome: str) -> None:
    """Ignore the outcome."""
