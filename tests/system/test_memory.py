"""A transfer needs little memory, however large the image and however slow the client or store."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable

import pytest

from tests.support.processes import watched_memory
from tests.support.raw_http import OCTETS, Api, RawConnection, zeros
from tests.support.service import Service
from tests.system.conftest import StartService

PER_TRANSFER = 32 << 20
GIB = 1 << 30
PART = 1 << 20


def digest_of_zeros(size: int) -> str:
    digest = hashlib.md5()
    for part in zeros(size, 4 << 20):
        digest.update(part)
    return digest.hexdigest()


def warm_up(api: Api) -> None:
    """Let threads, pools and caches come into being, which one transfer does not have to pay for."""
    image_id = api.new()
    assert api.upload(image_id, zeros(4 << 20)).status == 204
    assert len(api.download(image_id).body) == 4 << 20
    assert api.delete(image_id).status == 204


def upload(service: Service, image_id: str, size: int) -> int:
    """Upload zeros in chunks; returns the growth of the service's memory in bytes."""
    with watched_memory(service.pid) as memory:
        answer = Api(service.port).call("PUT", f"/v2/images/{image_id}/file", zeros(size), OCTETS, timeout=240)
        assert answer.status == 204, answer.text
    return memory.growth


def download(service: Service, image_id: str) -> tuple[int, int]:
    """Read an image without keeping it; returns its bytes and the growth of the service's memory."""
    connection = Api(service.port).connect(240)
    size = 0
    with watched_memory(service.pid) as memory:
        connection.request("GET", f"/v2/images/{image_id}/file")
        response = connection.getresponse()
        assert response.status == 200
        while part := response.read(PART):
            assert not any(part[:16])
            size += len(part)
    connection.close()
    return size, memory.growth


def transfer_both_ways(service: Service, size: int) -> None:
    api = Api(service.port)
    warm_up(api)
    image_id = api.new()
    started = time.perf_counter()
    grown = upload(service, image_id, size)
    uploaded = time.perf_counter()
    received, grown_again = download(service, image_id)
    ended = time.perf_counter()
    print(
        f"{size >> 20} MiB: upload +{grown >> 20} MiB in {uploaded - started:.1f} s, "
        f"download +{grown_again >> 20} MiB in {ended - uploaded:.1f} s"
    )
    assert received == size
    assert api.show(image_id)["checksum"] == digest_of_zeros(size)
    assert grown <= PER_TRANSFER
    assert grown_again <= PER_TRANSFER


def test_memory_of_a_transfer(start_service: StartService) -> None:
    transfer_both_ways(start_service(), 256 << 20)


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_memory_of_a_transfer_of_4_gib(start_service: StartService, server: str) -> None:
    transfer_both_ways(start_service(options={"glimpse": {"server": server}}), 4 * GIB)


def slowly_sent(connections: Iterable[RawConnection], seconds: float) -> None:
    """Offer each service side more than it takes; what the kernel does not take now is left for later."""
    block = bytes(256 << 10)
    ended = time.monotonic() + seconds
    while time.monotonic() < ended:
        for connection in connections:
            connection.chunk(block)
        time.sleep(0.05)


@pytest.mark.parametrize("transfers", [4, pytest.param(16, marks=pytest.mark.heavy)])
def test_memory_with_slow_senders(start_service: StartService, transfers: int) -> None:
    service = start_service()
    api = Api(service.port)
    warm_up(api)
    images = [api.new() for _ in range(transfers)]
    connections = [RawConnection(service.port) for _ in images]
    with watched_memory(service.pid) as memory:
        for image_id, connection in zip(images, connections, strict=True):
            connection.head("PUT", f"/v2/images/{image_id}/file", {**OCTETS, "Transfer-Encoding": "chunked"})
        slowly_sent(connections, 3.0)
        for connection in connections:
            connection.chunk(b"")
            assert connection.answer("PUT").status == 204
            connection.socket.close()
    print(f"{transfers} slow uploads: +{memory.growth >> 20} MiB")
    assert memory.growth <= PER_TRANSFER * transfers


@pytest.mark.parametrize("server", ["granian", pytest.param("uvicorn", marks=pytest.mark.heavy)])
@pytest.mark.parametrize(("transfers", "size"), [(4, 128 << 20), pytest.param(16, 4 * GIB, marks=pytest.mark.heavy)])
@pytest.mark.timeout(240)
def test_memory_with_slow_receivers(start_service: StartService, server: str, transfers: int, size: int) -> None:
    service = start_service(options={"glimpse": {"server": server}})
    api = Api(service.port)
    warm_up(api)
    image_id = api.new()
    answer = api.call("PUT", f"/v2/images/{image_id}/file", zeros(size), OCTETS, timeout=200)
    assert answer.status == 204
    connections = [RawConnection(service.port, receive_buffer=64 << 10) for _ in range(transfers)]
    with watched_memory(service.pid) as memory:
        for connection in connections:
            connection.head("GET", f"/v2/images/{image_id}/file")
        ended = time.monotonic() + 2.5
        while time.monotonic() < ended:
            for connection in connections:
                assert connection.socket.recv(64 << 10)
            time.sleep(0.05)
    for connection in connections:
        connection.socket.close()
    print(f"{server}, {transfers} slow downloads of {size >> 20} MiB: +{memory.growth >> 20} MiB")
    assert memory.growth <= PER_TRANSFER * transfers


@pytest.mark.heavy
def test_memory_of_many_transfers_after_each_other_does_not_add_up(start_service: StartService) -> None:
    service = start_service()
    api = Api(service.port)
    image_ids = [api.new() for _ in range(24)]
    for image_id in image_ids[:8]:
        upload(service, image_id, 8 << 20)
        download(service, image_id)
    before = service.resident_bytes()
    for image_id in image_ids[8:]:
        upload(service, image_id, 8 << 20)
        download(service, image_id)
    assert service.resident_bytes() - before <= PER_TRANSFER
