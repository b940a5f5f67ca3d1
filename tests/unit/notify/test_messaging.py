"""The drivers over oslo.messaging, with brokers in this process; a real one is in ``tests/interop``."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from glimpse.notify.all import build_notifier
from glimpse.notify.base import BrokerAway, SendFailed
from glimpse.notify.notifier import QueuedNotifier
from glimpse.settings.errors import SettingsError
from glimpse.settings.model import NotificationOptions
from tests.support.needs import unavailable

try:
    from glimpse.notify import messaging
except SettingsError as missing:
    messaging = None
    WHY = str(missing)

#: kombu's broker inside the process, which the rabbit driver of oslo.messaging can use.
MEMORY = "kombu+memory:////"


@pytest.fixture(autouse=True)
def _installed() -> None:
    if messaging is None:
        unavailable(WHY)


def build(driver: str, url: str = MEMORY, *, retry: int = 0, default: bool = False, **more: Any) -> QueuedNotifier:
    section = "DEFAULT" if default else "oslo_messaging_notifications"
    library = {section: {"transport_url": url}, **more.pop("library", {})}
    notifier = build_notifier(NotificationOptions(drivers=(driver,), retry=retry, library=library, **more))
    assert notifier is not None
    return notifier


def received(topic: str, exchange: str = "glance") -> list[Any]:
    """Everything in the queue of ``topic``."""
    import kombu

    with kombu.Connection("memory:///") as connection:
        bound = kombu.Queue(topic, kombu.Exchange(exchange, type="topic", durable=False), topic, durable=False)
        queue = connection.SimpleQueue(bound)
        found = []
        while True:
            try:
                message = queue.get(block=False)
            except queue.Empty:
                queue.close()
                return found
            message.ack()
            found.append(message.payload)


@pytest.mark.parametrize("default", [False, True])
def test_version_2_is_wrapped(default: bool) -> None:
    notifier = build("messagingv2", topics=("wrapped",), default=default)
    notifier.emit("image.create", {"id": "x"})
    notifier.close(10)

    (envelope,) = received("wrapped.info")
    assert set(envelope) == {"oslo.version", "oslo.message"}
    assert envelope["oslo.version"] == "2.0"
    inner = json.loads(envelope["oslo.message"])
    assert list(inner) == [
        "message_id", "publisher_id", "event_type", "priority", "payload", "timestamp", "_unique_id",
    ]  # fmt: skip
    assert len(inner["_unique_id"]) == 32
    assert (inner["publisher_id"], inner["payload"]) == ("image.localhost", {"id": "x"})


def test_version_1_is_not_wrapped_and_errors_have_a_queue_of_their_own() -> None:
    notifier = build("messaging", topics=("plain",))
    notifier.emit("image.upload", "it failed", error=True)
    notifier.close(10)
    assert received("plain.info") == []
    (inner,) = received("plain.error")
    assert (inner["event_type"], inner["priority"], inner["payload"]) == ("image.upload", "ERROR", "it failed")
    assert not [name for name in inner if name.startswith("_context")]


def test_every_topic_and_another_exchange() -> None:
    library = {"DEFAULT": {"control_exchange": "pictures"}}
    notifier = build("messaging", topics=("one", "two"), library=library)
    for number in range(3):
        notifier.emit(f"image.{number}", {})
    notifier.close(10)
    one, two = received("one.info", "pictures"), received("two.info", "pictures")
    assert [message["event_type"] for message in one] == ["image.0", "image.1", "image.2"]
    assert [message["message_id"] for message in one] == [message["message_id"] for message in two]
    assert {message["_unique_id"] for message in one}.isdisjoint({message["_unique_id"] for message in two})


def test_without_a_broker_attempts_end_and_are_counted() -> None:
    from tests.support.service import free_port

    notifier = build("messagingv2", f"rabbit://u:hidden@127.0.0.1:{free_port()}/", retry=0)
    notifier.emit("image.create", {})
    notifier.close(30)
    (route,) = notifier.routes
    assert (route.outbox.sent, route.outbox.failed, route.outbox.dropped) == (0, 1, 0)


def test_with_attempts_without_end_a_message_is_not_given_up() -> None:
    """The library lets some errors pass although it was told to try for ever."""
    assert messaging is not None

    class Refusing:
        def _send_notification(self, *_: object) -> None:
            raise ConnectionRefusedError(111, "Connection refused")

    message = {"priority": "INFO", "event_type": "image.create"}
    with pytest.raises(BrokerAway, match=r"topic n\.info.*refused"):
        messaging.MessagingDriver("messagingv2", Refusing(), ["n"], -1).send(dict(message))
    with pytest.raises(SendFailed) as lost:
        messaging.MessagingDriver("messagingv2", Refusing(), ["n"], 2).send(dict(message))
    assert not isinstance(lost.value, BrokerAway)


def test_a_driver_of_another_package() -> None:
    from oslo_messaging.notify import _impl_test

    _impl_test.reset()
    notifier = build("test")
    notifier.emit("image.create", {"id": "x"})
    notifier.close(10)
    ((context, message, priority, retry),) = _impl_test.NOTIFICATIONS
    assert (context, message["payload"], priority, retry) == ({}, {"id": "x"}, "INFO", 0)


@pytest.mark.parametrize(
    ("driver", "url", "reason"),
    [
        ("carrier-pigeon", MEMORY, "driver = carrier-pigeon: must be one of"),
        ("messagingv2", "//u:hidden@host/", "must be a URL"),
        ("messagingv2", "pigeon://u:hidden@host/", "the driver pigeon cannot be used"),
        ("messagingv2", "rabbit://u:hidden@host:port/", "must be a URL"),
        ("messagingv2", "rabbit://u:hidden/word@host/", "must be a URL"),
    ],
)
def test_what_cannot_work_is_said_at_start_without_secrets(driver: str, url: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        build(driver, url)
    assert "hidden" not in str(caught.value)


def test_a_wrong_option_of_the_bus_is_said_at_start() -> None:
    with pytest.raises(SettingsError, match="heartbeat_rate"):
        build("messagingv2", library={"oslo_messaging_rabbit": {"heartbeat_rate": "often"}})


def test_without_the_package_the_operator_is_told_which() -> None:
    program = """
import sys
sys.modules["oslo_messaging"] = None
from glimpse.notify.all import build_notifier
from glimpse.settings.model import NotificationOptions
from glimpse.settings.errors import SettingsError
try:
    build_notifier(NotificationOptions(drivers=("messagingv2",)))
except SettingsError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "needs the Python package oslo_messaging, which is not installed; install it with" in done.stdout


def test_no_thread_is_green() -> None:
    """The library brings eventlet; nothing may be patched by it (ARCHITECTURE.md, Threads)."""
    program = """
from glimpse.notify import messaging
from oslo_service import backend
import eventlet.patcher
assert backend.get_backend_type() is backend.BackendType.THREADING
assert not eventlet.patcher.already_patched
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
