"""One topic of a real RabbitMQ, as a consumer of notifications sees it."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlsplit

#: Seconds for what must come; nothing waits that long when it works.
RETRIES = 40.0


class Topic:
    """A topic that no other test uses, on the broker at ``url`` (the form of ``transport_url``)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"test-{uuid.uuid4().hex}"

    def receive(self, number: int, priority: str = "info") -> list[Any]:
        """The next ``number`` bodies of messages in the default queue of the topic."""
        import kombu

        parts = urlsplit(self.url)
        amqp = f"amqp://{parts.netloc}/{parts.path.strip('/') or '/'}"
        name = f"{self.name}.{priority}"
        queue = kombu.Queue(name, kombu.Exchange("glance", type="topic", durable=False), name, durable=False)
        found: list[Any] = []
        with kombu.Connection(amqp) as connection, connection.SimpleQueue(queue) as simple:
            while len(found) < number:
                message = simple.get(timeout=RETRIES)
                message.ack()
                found.append(message.payload)
        return found
