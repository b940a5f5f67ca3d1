"""Many slow uploads: others do not wait for them, and they are aborted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.footprint import assert_untouched, eventually, leases
from tests.support.raw_http import OCTETS, Api, RawConnection
from tests.system.conftest import StartService

DATA = b"0123456789" * 100_000
LENGTH = {**OCTETS, "Content-Length": 10}


@contextmanager
def parked(api: Api, number: int) -> Iterator[dict[str, RawConnection]]:
    """Uploads of ten bytes that stop in their middle, by image."""
    with ExitStack() as stack:
        connections: dict[str, RawConnection] = {}
        for _ in range(number):
            image_id = api.new()
            connection = connections[image_id] = stack.enter_context(RawConnection(api.port))
            connection.head("PUT", f"/v2/images/{image_id}/file", LENGTH)
            connection.send(b"01234")
        assert eventually(lambda: all(api.show(image_id)["status"] == "saving" for image_id in connections))
        yield connections


@pytest.mark.parametrize("server", ["granian", pytest.param("uvicorn", marks=pytest.mark.heavy)])
def test_ten_times_as_many_slow_uploads_as_threads_stop_nobody(start_service: StartService, server: str) -> None:
    service = start_service(options={"glimpse": {"transfer_threads": 2, "server": server}})
    api = Api(service.port)
    with parked(api, 20) as connections:
        quick = api.new()
        assert api.upload(quick, DATA).status == 204
        assert api.download(quick).body == DATA
        refused = api.new(disk_format="qcow2")
        assert api.upload(refused, DATA).status == 415
        assert len(leases(service)) == 20
        for connection in connections.values():
            connection.send(b"56789")
        for image_id, connection in connections.items():
            assert connection.answer("PUT").status == 204
            assert api.download(image_id).body == b"0123456789"


def test_uploads_below_the_least_rate_are_408_and_leave_nothing(start_service: StartService) -> None:
    """They send a byte now and then, so they are never silent."""
    options = {"min_body_rate": 1000, "min_body_rate_time": 0.5, "transfer_threads": 1}
    service = start_service(options={"glimpse": options})
    api = Api(service.port)
    with parked(api, 3) as connections:
        for image_id, connection in connections.items():
            answer = connection.answer("PUT")
            assert answer.status == 408
            assert "arrives too slowly" in answer.text
            assert_untouched(service, api, image_id)
    again = api.new()
    assert api.upload(again, DATA).status == 204


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("max_uploads_per_project", "already has the maximum of 2 running uploads"),
        ("max_uploads", "is busy with 2 uploads"),
    ],
)
def test_an_upload_too_many_is_503_and_may_come_again(start_service: StartService, option: str, sentence: str) -> None:
    api = Api(start_service(options={"glimpse": {option: 2}}).port)
    with parked(api, 2) as connections:
        third = api.new()
        answer = api.upload(third, DATA)
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert sentence in answer.text
        assert api.show(third)["status"] == "queued"
        first = next(iter(connections.values()))
        first.send(b"56789")
        assert first.answer("PUT").status == 204
        assert eventually(lambda: api.upload(third, DATA).status == 204)
