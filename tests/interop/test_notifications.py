"""Drivers of notifications on a real RabbitMQ, in good times and bad ones (configuration 11).

What a running service sends is in ``test_event_stream.py``.

``GLIMPSE_TEST_RABBITMQ_URL`` names the broker in the form of ``transport_url``.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from glimpse.domain.clock import now
from glimpse.domain.image import Image
from glimpse.notify import events
from glimpse.notify.all import build_notifier
from glimpse.notify.notifier import QueuedNotifier
from glimpse.notify.queue import Outbox
from glimpse.settings.model import NotificationOptions
from tests.support.needs import unavailable
from tests.support.relay import Relay
from tests.support.topic import RETRIES, Topic


class Bus(Topic):
    """A topic of the broker, and the notifiers to it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.made: list[QueuedNotifier] = []

    def notifier(
        self,
        driver: str = "messagingv2",
        *,
        port: int | None = None,
        retry: int = -1,
        publisher_id: str = "image.localhost",
    ) -> QueuedNotifier:
        """A notifier to it, through ``port`` of loopback where one is given."""
        url = self.url
        if port is not None:
            parts = urlsplit(url)
            url = f"{parts.scheme}://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}"
        library = {
            "DEFAULT": {"transport_url": url},
            # what a test can wait for; one second is the shortest that the library takes
            "oslo_messaging_rabbit": {"kombu_reconnect_delay": "0.1", "rabbit_interval_max": "1"},
        }
        notifier = build_notifier(
            NotificationOptions(
                drivers=(driver,), topics=(self.name,), retry=retry, publisher_id=publisher_id, library=library
            )
        )
        assert notifier is not None
        self.made.append(notifier)
        return notifier

    def receive_events(self, number: int, priority: str = "info") -> list[str]:
        """The event types of the next ``number`` messages."""
        inner = [json.loads(envelope["oslo.message"]) for envelope in self.receive(number, priority)]
        return [message["event_type"] for message in inner]


@pytest.fixture
def bus() -> Iterator[Bus]:
    url = os.environ.get("GLIMPSE_TEST_RABBITMQ_URL")
    if not url:
        unavailable("GLIMPSE_TEST_RABBITMQ_URL is not set")
    bus = Bus(url)
    yield bus
    for notifier in bus.made:
        notifier.close(RETRIES)


@pytest.fixture
def relay(bus: Bus) -> Iterator[Relay]:
    parts = urlsplit(bus.url)
    with Relay((parts.hostname or "127.0.0.1", parts.port or 5672)) as relay:
        yield relay


@pytest.fixture
def image() -> Image:
    return Image(
        id=str(uuid.uuid4()), name="Débian", owner="physics", disk_format="raw", container_format="bare",
        created_at=now(), updated_at=now(), properties={"os_distro": "debian"}, tags="a",
    )  # fmt: skip


def outbox(notifier: QueuedNotifier) -> Outbox:
    (route,) = notifier.routes
    return route.outbox


def until(condition: Any) -> None:
    deadline = time.monotonic() + RETRIES
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def test_errors_have_a_queue_of_their_own_and_text(bus: Bus, image: Image) -> None:
    notifier = bus.notifier("messaging")
    events.upload_failed(notifier, image, "The store is full.", queued=False)
    (message,) = bus.receive(1, "error")
    assert (message["event_type"], message["priority"]) == ("image.upload", "ERROR")
    assert message["payload"] == f"The upload of image {image.id} failed: The store is full."


def test_a_listener_of_the_messaging_library_gets_them(bus: Bus, image: Image) -> None:
    """What telemetry uses; it would also take a context, of which there is none."""
    import oslo_messaging

    from glimpse.settings.oslo import library_conf

    got: list[tuple[dict[str, Any], str, str, Any, dict[str, Any]]] = []
    arrived = threading.Event()

    class Endpoint:
        def info(self, context: Any, publisher: str, event: str, payload: Any, metadata: Any) -> None:
            got.append((context, publisher, event, payload, metadata))
            arrived.set()

    conf = library_conf({"DEFAULT": {"transport_url": bus.url}})
    transport = oslo_messaging.get_notification_transport(conf)
    target = oslo_messaging.Target(topic=bus.name, exchange="glance")
    listener = oslo_messaging.get_notification_listener(transport, [target], [Endpoint()], executor="threading")
    listener.start()
    try:
        events.image_created(bus.notifier(), image)
        assert arrived.wait(RETRIES)
    finally:
        listener.stop()
        listener.wait()
        transport.cleanup()
    ((context, publisher, event, payload, metadata),) = got
    # the listener adds this one itself
    assert set(context) <= {"client_timeout"}
    assert (publisher, event) == ("image.localhost", "image.create")
    assert payload["id"] == image.id
    assert uuid.UUID(metadata["message_id"])


def test_a_broker_that_is_down_when_the_service_starts(bus: Bus, relay: Relay, image: Image) -> None:
    relay.down()
    notifier = bus.notifier(port=relay.port)
    for _ in range(20):
        events.image_updated(notifier, image)
    assert outbox(notifier).sent == 0
    relay.up()
    assert bus.receive_events(20) == ["image.update"] * 20
    until(lambda: outbox(notifier).sent == 20)
    assert (outbox(notifier).dropped, outbox(notifier).failed) == (0, 0)


def test_a_broker_that_dies_loses_what_the_queue_cannot_hold_and_nothing_else(
    bus: Bus, relay: Relay, image: Image
) -> None:
    small = bus.notifier(port=relay.port)
    box = outbox(small)
    box._max_messages = 100
    events.image_created(small, image)
    assert bus.receive_events(1) == ["image.create"]

    relay.down()
    for _ in range(500):
        events.image_updated(small, image)
    box = outbox(small)
    # one may be with the driver already; all the others wait or are dropped, and the caller is through with them
    assert box.dropped in {399, 400}
    kept = 500 - box.dropped

    relay.up()
    assert bus.receive_events(kept) == ["image.update"] * kept
    until(lambda: box.sent == kept + 1)
    events.image_deleted(small, image, now())
    assert bus.receive_events(1) == ["image.delete"]
    assert box.failed == 0


def test_a_broker_that_hangs_holds_up_nobody(bus: Bus, relay: Relay, image: Image) -> None:
    # without another attempt, so that the driver's thread ends with this test
    notifier = bus.notifier(port=relay.port, retry=0)
    events.image_created(notifier, image)
    assert bus.receive_events(1) == ["image.create"]
    relay.fall_silent()
    for _ in range(50):
        events.image_updated(notifier, image)
    notifier.close(0.1)
    assert outbox(notifier).dropped == 49


def test_with_few_attempts_messages_are_given_up_and_counted(bus: Bus, relay: Relay, image: Image) -> None:
    relay.down()
    notifier = bus.notifier(port=relay.port, retry=0)
    for _ in range(3):
        events.image_updated(notifier, image)
    until(lambda: outbox(notifier).failed == 3)
    relay.up()
    events.image_created(notifier, image)
    assert bus.receive_events(1) == ["image.create"]
    assert outbox(notifier).dropped == 0
