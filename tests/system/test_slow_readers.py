"""Clients that stop reading: their memory, and that they are disconnected."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.footprint import eventually
from tests.support.raw_http import Api, RawConnection, zeros
from tests.system.conftest import StartService
from tests.system.test_connections import open_data_files

MIB = 1 << 20
READERS = 60
SERVERS = pytest.mark.parametrize("server", ["granian", "uvicorn"])


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@SERVERS
def test_a_reader_that_takes_nothing_holds_less_than_1_mib(start_service: StartService, server: str) -> None:
    service = start_service(options={"glimpse": {"server": server}})
    api = Api(service.port)
    image_id = api.new()
    assert api.upload(image_id, zeros(64 * MIB)).status == 204
    for _ in range(3):
        assert len(api.download(image_id).body) == 64 * MIB
    [worker] = service.workers()
    before = resident(worker)
    connections = [RawConnection(service.port, receive_buffer=64 << 10) for _ in range(READERS)]
    for connection in connections:
        connection.head("GET", f"/v2/images/{image_id}/file")
    assert eventually(lambda: len(open_data_files(service)) == READERS, 30)
    sizes = [0, 1]
    assert eventually(lambda: sizes.append(resident(worker)) or sizes[-1] == sizes[-2], 30), sizes
    for connection in connections:
        connection.socket.close()
    assert sizes[-1] - before <= READERS * MIB


@SERVERS
def test_readers_that_disconnect_while_the_service_stops_do_not_delay_it(
    start_service: StartService, server: str
) -> None:
    service = start_service(options={"glimpse": {"server": server}})
    api = Api(service.port)
    image_id = api.new()
    assert api.upload(image_id, zeros(64 * MIB)).status == 204
    connections = [RawConnection(service.port, receive_buffer=64 << 10) for _ in range(READERS)]
    for connection in connections:
        connection.head("GET", f"/v2/images/{image_id}/file")
    assert eventually(lambda: len(open_data_files(service)) == READERS, 30)
    for connection in connections:
        connection.socket.close()
    service.signal(signal.SIGTERM)
    service.wait(seconds=30)  # much less than the time that running requests have
    service.start()


@SERVERS
def test_a_reader_that_takes_nothing_is_cut_after_the_write_time_out(start_service: StartService, server: str) -> None:
    service = start_service(options={"glimpse": {"server": server, "write_timeout": 1}})
    api = Api(service.port)
    image_id = api.new()
    assert api.upload(image_id, zeros(64 * MIB)).status == 204
    with RawConnection(service.port, receive_buffer=64 << 10) as connection:
        connection.head("GET", f"/v2/images/{image_id}/file")
        assert eventually(lambda: open_data_files(service) != [], 30)
        assert eventually(lambda: open_data_files(service) == [], 30)
    assert len(api.download(image_id).body) == 64 * MIB
