"""A worker's memory does not grow over many mixed requests, although the data do."""

from __future__ import annotations

import http.client
import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.raw_http import JSON_PATCH, OCTETS, Answer, Api, exchange
from tests.support.service import Service
from tests.system.conftest import StartService

#: Requests in all; GLIMPSE_TEST_REQUESTS raises it, for instance to 100000.
REQUESTS = int(os.environ.get("GLIMPSE_TEST_REQUESTS", "20000"))
CLIENTS = 4
#: Caches and pools are full when this part of the requests was answered; from there on memory may grow by so much.
WARM = 0.4
MOST_GROWTH = 16 << 20


def worker_memory(service: Service) -> int:
    """Resident bytes of the one worker."""
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in children]
    return max(pages) * os.sysconf("SC_PAGE_SIZE")


class Client:
    """Sends requests of all kinds on one connection; half of the images that it makes stay."""

    def __init__(self, port: int, number: int) -> None:
        self._connection: http.client.HTTPConnection = Api(port).connect()
        self._random = random.Random(number)
        self._images: list[str] = []
        self.sent = 0

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def send(self, count: int) -> None:
        """Send ``count`` requests at least."""
        until = self.sent + count
        while self.sent < until:
            self._one_round()

    def _one_round(self) -> None:
        body = json.dumps(
            {"name": f"n{self._random.random()}", "disk_format": "raw", "container_format": "bare", "tags": ["a", "b"],
             f"property{self._random.randrange(1000)}": "x" * 100}
        )  # fmt: skip
        made = self._ask("POST", "/v2/images", body.encode(), 201)
        image_id: str = made.json["id"]
        self._images.append(image_id)
        path = f"/v2/images/{image_id}"
        self._ask("PUT", f"{path}/file", self._random.randbytes(3000), 204, OCTETS)
        self._ask("GET", f"{path}/file", None, 200)
        self._ask("GET", path, None, 200)
        change = json.dumps([{"op": "replace", "path": "/name", "value": f"m{self._random.random()}"}]).encode()
        self._ask("PATCH", path, change, 200, {"Content-Type": JSON_PATCH})
        self._ask("PUT", f"{path}/tags/t{self._random.randrange(1000)}", None, 204)
        self._ask("POST", f"{path}/members", b'{"member": "p%d"}' % self._random.randrange(1000), 200)
        self._ask("GET", f"{path}/members", None, 200)
        self._ask("GET", f"/v2/images?limit=20&name=n{self._random.random()}", None, 200)
        self._ask("GET", f"/v2/images?limit=50&marker={self._random.choice(self._images)}", None, 200)
        self._ask("GET", f"/v2/images/{self._random.random()}", None, 404)
        self._ask("GET", "/v2/schemas/image", None, 200)
        if self._random.random() < 0.5:
            self._ask("DELETE", f"/v2/images/{self._images.pop()}", None, 204)

    def _ask(
        self, method: str, path: str, body: bytes | None, status: int, headers: dict[str, str] | None = None
    ) -> Answer:
        self.sent += 1
        answer = exchange(self._connection, method, path, body, headers or {})
        assert answer.status == status, (method, path, answer.status, answer.text)
        return answer


@pytest.mark.heavy
@pytest.mark.timeout(300 + REQUESTS // 20)
def test_memory_after_many_mixed_requests(start_service: StartService) -> None:
    service = start_service(workers=1)
    clients = [Client(service.port, number) for number in range(CLIENTS)]
    seen: list[int] = []
    with ThreadPoolExecutor(CLIENTS) as threads:
        for _ in range(10):
            list(threads.map(lambda client: client.send(REQUESTS // CLIENTS // 10), clients))
            seen.append(worker_memory(service))
    for client in clients:
        client.close()
    print(f"{sum(client.sent for client in clients)} requests; MiB: {', '.join(str(one >> 20) for one in seen)}")
    assert max(seen) - seen[int(len(seen) * WARM) - 1] <= MOST_GROWTH
