"""The events of images' lives, from a running service to a consumer on a real RabbitMQ (configuration 11).

``GLIMPSE_TEST_RABBITMQ_URL`` names the broker in the form of ``transport_url``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.support.needs import unavailable
from tests.support.relay import Relay
from tests.support.service import Service, free_port
from tests.support.topic import Topic

PATCH = {"content-type": "application/openstack-images-v2.1-json-patch"}
DATA = b"data of an image" * 1000


@pytest.fixture
def topic() -> Topic:
    url = os.environ.get("GLIMPSE_TEST_RABBITMQ_URL")
    if not url:
        unavailable("GLIMPSE_TEST_RABBITMQ_URL is not set")
    return Topic(url)


@pytest.fixture
def relay(topic: Topic) -> Iterator[Relay]:
    parts = urlsplit(topic.url)
    with Relay((parts.hostname or "127.0.0.1", parts.port or 5672)) as relay:
        yield relay


def options(topic: Topic, port: int | None = None) -> dict[str, dict[str, object]]:
    """Of a service that tells ``topic``, through ``port`` of loopback where one is given."""
    url = topic.url
    if port is not None:
        parts = urlsplit(url)
        url = f"{parts.scheme}://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}"
    return {
        "DEFAULT": {"default_publisher_id": "image.host1", "transport_url": url},
        "oslo_messaging_notifications": {"driver": "messagingv2", "topics": topic.name},
        # what a test can wait for; one second is the shortest that the library takes
        "oslo_messaging_rabbit": {"kombu_reconnect_delay": "0.1", "rabbit_interval_max": "1"},
    }


def create(client: httpx2.Client, **fields: object) -> str:
    document = {"name": "Débian", "disk_format": "raw", "container_format": "bare", **fields}
    answer = client.post("/v2/images", json=document)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def upload(client: httpx2.Client, image_id: str, data: bytes = DATA, **headers: str) -> int:
    head = {"content-type": "application/octet-stream", **headers}
    return client.put(f"/v2/images/{image_id}/file", content=data, headers=head).status_code


def unwrapped(envelopes: list[Any]) -> list[dict[str, Any]]:
    """The messages in the envelopes that consumers of version 2 expect."""
    assert all(set(envelope) == {"oslo.version", "oslo.message"} for envelope in envelopes)
    assert {envelope["oslo.version"] for envelope in envelopes} == {"2.0"}
    return [json.loads(envelope["oslo.message"]) for envelope in envelopes]


def told(message: dict[str, Any]) -> str:
    """One line on a message."""
    payload = message["payload"]
    said = payload if isinstance(payload, str) else payload.get("status") or f"{payload['bytes_sent']} bytes"
    return f"{message['timestamp']} {message['priority']:5} {message['event_type']:20} {said}"


def test_the_life_of_an_image(topic: Topic, tmp_path: Path) -> None:
    with Service(tmp_path, options=options(topic)) as service, httpx2.Client(base_url=service.url) as client:
        image_id = create(client)
        target = f"/v2/images/{image_id}"
        change = json.dumps([{"op": "add", "path": "/os_distro", "value": "debian"}])
        assert client.patch(target, content=change, headers=PATCH).status_code == 200
        assert client.put(f"{target}/tags/a").status_code == 204
        assert upload(client, image_id, **{"x-openstack-image-size": "5"}) == 400
        assert upload(client, image_id) == 204
        assert client.get(f"{target}/file").content == DATA
        assert client.post(f"{target}/members", json={"member": "chemistry"}).status_code == 200
        assert client.put(f"{target}/members/chemistry", json={"status": "accepted"}).status_code == 200
        assert client.delete(f"{target}/members/chemistry").status_code == 204
        assert client.post(f"{target}/actions/deactivate").status_code == 204
        assert client.delete(target).status_code == 204
    messages = unwrapped(topic.receive(17))
    (failure,) = unwrapped(topic.receive(1, "error"))
    print("\nAs RabbitMQ gave them to a consumer:", *map(told, [*messages, failure]), sep="\n")

    assert [(message["event_type"], message["payload"].get("status")) for message in messages] == [
        ("image.create", "queued"),
        ("image.update", "queued"),
        ("image.update", "queued"),
        ("image.update", "saving"),
        ("image.prepare", "saving"),
        ("image.update", "queued"),
        ("image.update", "saving"),
        ("image.prepare", "saving"),
        ("image.upload", "active"),
        ("image.activate", "active"),
        ("image.update", "active"),
        ("image.send", None),
        ("image.member.create", "pending"),
        ("image.member.update", "accepted"),
        ("image.member.delete", "accepted"),
        ("image.update", "deactivated"),
        ("image.delete", "deleted"),
    ]
    for message in messages:
        assert set(message) == {
            "message_id", "publisher_id", "event_type", "priority", "payload", "timestamp", "_unique_id",
        }  # fmt: skip
        assert (message["publisher_id"], message["priority"]) == ("image.host1", "INFO")
        assert time.strptime(message["timestamp"].partition(".")[0], "%Y-%m-%d %H:%M:%S")
        assert message["payload"].get("id", message["payload"].get("image_id")) == image_id
    assert messages[0]["payload"]["name"] == "Débian"
    assert messages[11]["payload"]["bytes_sent"] == len(DATA)
    assert messages[-1]["payload"]["deleted"] is True
    assert "os_hash" not in json.dumps(messages)
    assert str(tmp_path) not in json.dumps(messages)

    assert (failure["event_type"], failure["priority"]) == ("image.upload", "ERROR")
    assert failure["payload"].startswith(f"The upload of image {image_id} failed: ")


def test_all_workers_tell(topic: Topic, tmp_path: Path) -> None:
    with Service(tmp_path, options=options(topic), workers=2) as service:
        made: set[str] = set()
        for _ in range(12):
            # a connection of its own for each, so that both workers get some
            with httpx2.Client(base_url=service.url) as client:
                made.add(create(client))
        messages = unwrapped(topic.receive(12))
    assert {message["payload"]["id"] for message in messages} == made


def test_a_dead_broker_fails_no_request_and_no_stop(topic: Topic, relay: Relay, tmp_path: Path) -> None:
    relay.down()
    configured = options(topic, relay.port)
    with Service(tmp_path, options=configured) as service, httpx2.Client(base_url=service.url) as client:
        image_id = create(client)
        assert upload(client, image_id) == 204
        relay.up()
        waited = [message["event_type"] for message in unwrapped(topic.receive(6))]
        relay.down()
        assert client.delete(f"/v2/images/{image_id}").status_code == 204
    assert waited == [
        "image.create", "image.update", "image.prepare", "image.upload", "image.activate", "image.update",
    ]  # fmt: skip


def test_metrics_count_what_was_sent(topic: Topic, tmp_path: Path) -> None:
    """As the page of Prometheus shows it."""
    port = free_port()
    configured = {**options(topic), "glimpse": {"metrics_port": port}}
    with Service(tmp_path, options=configured) as service, httpx2.Client(base_url=service.url) as client:
        create(client)
        topic.receive(1)
        sent = 'glimpse_notifications_total{driver="messagingv2",outcome="sent"} 1.0'
        deadline = time.monotonic() + 20
        while sent not in (page := httpx2.get(f"http://127.0.0.1:{port}/metrics").text):
            assert time.monotonic() < deadline, page
            time.sleep(0.05)
