"""Drivers over oslo.messaging (extra ``notifications``): ``messaging``, ``messagingv2``, and those of other packages.

The library's own notifier is not used: it puts the time of sending into a message that may have waited, and it hides
failures, which must be counted. So messages go directly to its transport.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from glimpse.extras import needs
from glimpse.notify.base import BrokerAway, Driver, Message, SendFailed
from glimpse.settings.errors import SettingsError
from glimpse.settings.model import NotificationOptions
from glimpse.settings.oslo import check_library_conf, library_conf

try:
    with warnings.catch_warnings():
        # the library imports eventlet without using it, and eventlet issues a deprecation warning
        warnings.simplefilter("ignore")
        from oslo_service import backend as service_backend

        # otherwise the import below chooses eventlet, whose threads are incompatible with ours
        service_backend.register_backend_default_hook(lambda: service_backend.BackendType.THREADING)
        import oslo_messaging
        from kombu.exceptions import KombuError
        from stevedore import driver as plugin
except ImportError as error:
    allowed = needs(error, "notifications")
    raise SettingsError.of_option("oslo_messaging_notifications", "driver", allowed) from error

#: The library's names of the two envelope formats (configuration 11.1).
VERSIONS: Mapping[str, float] = {"messaging": 1.0, "messagingv2": 2.0}

_ENTRY_POINTS = "oslo.messaging.notify.drivers"
_EXCHANGE = "glance"


class _Transport(Protocol):
    """The part of the library's transport used here; all its public functions hide failures."""

    def _send_notification(
        self, target: object, ctxt: dict[str, object], message: Message, version: float, retry: int
    ) -> None: ...

    def cleanup(self) -> None: ...


class MessagingDriver:
    """Sends each message to every topic and waits until the broker has confirmed it."""

    def __init__(self, name: str, transport: _Transport, topics: Sequence[str], retry: int) -> None:
        """``name`` is one of :data:`VERSIONS`; ``retry`` counts attempts after the first; -1: without limit."""
        self.name = name
        self._transport = transport
        self._topics = tuple(topics)
        self._retry = retry
        self._version = VERSIONS[name]

    def send(self, message: Message) -> None:
        """See :meth:`glimpse.notify.base.Driver.send`."""
        suffix = message["priority"].lower()
        for topic in self._topics:
            queue = f"{topic}.{suffix}"
            target = oslo_messaging.Target(topic=queue)
            try:
                # the transport adds an id to the message
                self._transport._send_notification(target, {}, dict(message), self._version, self._retry)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # see _Transport
            except (oslo_messaging.MessagingException, KombuError, OSError) as error:
                # the library raises some connection errors even if it is told to retry forever
                lost = SendFailed if self._retry >= 0 else BrokerAway
                raise lost(f"topic {queue}: {error}") from error

    def close(self) -> None:
        """Close the connections to the broker."""
        self._transport.cleanup()


class PluginDriver:
    """A notification driver of the library or of another package, loaded by its entry point."""

    def __init__(self, name: str, transport: _Transport, found: Any, retry: int) -> None:
        """``found`` is an object of the library's class ``Driver``."""
        self.name = name
        self._transport = transport
        self._found = found
        self._retry = retry

    def send(self, message: Message) -> None:
        """See :meth:`glimpse.notify.base.Driver.send`; failures that the driver hides cannot be counted."""
        self._found.notify({}, message, message["priority"], self._retry)

    def close(self) -> None:
        """Close the connections to the broker, if the driver had any."""
        self._transport.cleanup()


def messaging_driver(name: str, options: NotificationOptions) -> Driver:
    """Build the driver ``name`` without connecting.

    :raises SettingsError: there is no such driver, or the options of the transport are invalid.
    """
    conf = library_conf(_with_exchange(options.library))
    transport = _transport(conf)
    if name in VERSIONS:
        return MessagingDriver(name, transport, options.topics, options.retry)
    try:
        manager = plugin.DriverManager(
            _ENTRY_POINTS, name, invoke_on_load=True, invoke_args=(conf,),
            invoke_kwds={"topics": list(options.topics), "transport": transport},
        )  # fmt: skip
    except RuntimeError as error:
        allowed = "must be one of messaging, messagingv2, routing, log, noop, or a driver of an installed package"
        raise SettingsError.of_option("oslo_messaging_notifications", "driver", allowed, value=name) from error
    return PluginDriver(name, transport, manager.driver, options.retry)


def _transport(conf: Any) -> _Transport:
    reason = "must be a URL such as rabbit://user:password@host:5672/"
    try:
        transport: _Transport = cast("Any", oslo_messaging).get_notification_transport(conf)
    except oslo_messaging.DriverLoadFailure as error:
        reason = f"the driver {error.driver} cannot be used: {error.ex}"
    except (oslo_messaging.InvalidTransportURL, ValueError):
        # from an invalid option, or from the URL, whose message contains the password
        check_library_conf(conf)
    else:
        check_library_conf(conf)
        return transport
    raise SettingsError.of_option("oslo_messaging_notifications", "transport_url", reason)


def _with_exchange(library: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
    default = {"control_exchange": _EXCHANGE, **library.get("DEFAULT", {})}
    return {**library, "DEFAULT": default}
