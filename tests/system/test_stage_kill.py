"""``kill -9`` in the middle of a stage: the image is queued with a reason, and nothing is left."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from glimpse.jobs.steps.staging import INTERRUPTED
from tests.support.footprint import assert_store_holds, eventually, leases
from tests.support.images import noise
from tests.support.raw_http import OCTETS, Api
from tests.system.conftest import StartService

LEASE = {"lease_time": 3, "lease_heartbeat": 0.5}
SIZE = 4_000_000
SECONDS = 60.0


def test_a_worker_killed_while_data_arrive(start_service: StartService) -> None:
    service = start_service(options={"glimpse": LEASE}, workers=2)
    api = Api(service.port)
    area = service.data_dir / "staging"
    image_id = api.new()
    data = noise(SIZE, "staged")
    connection = api.connect()
    try:
        connection.putrequest("PUT", f"/v2/images/{image_id}/stage")
        for name, value in {**OCTETS, "Content-Length": str(SIZE)}.items():
            connection.putheader(name, value)
        connection.endheaders(data[: SIZE // 2])

        def is_written() -> bool:
            return any(path.suffix == ".part" and path.stat().st_size > 0 for path in area.glob("*"))

        assert eventually(is_written, SECONDS), service.log[-3000:]
        assert api.show(image_id)["status"] == "uploading"
        for pid in service.workers():
            if pid != service.pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    finally:
        connection.close()

    def is_queued() -> bool:
        with suppress(OSError):
            return bool(api.show(image_id)["status"] == "queued")
        return False

    assert eventually(is_queued, SECONDS), service.log[-3000:]
    shown = api.show(image_id)
    assert (shown["size"], shown["os_glance_failed_upload"]) == (None, INTERRUPTED)
    assert os.listdir(area) == []
    assert leases(service) == []

    answer = api.call("PUT", f"/v2/images/{image_id}/stage", data, OCTETS)
    assert answer.status == 204, answer.text
    assert (area / image_id).read_bytes() == data
    assert os.listdir(area) == [image_id]
    assert "os_glance_failed_upload" not in api.show(image_id)
    assert api.delete(image_id).status == 204
    assert os.listdir(area) == []
    assert_store_holds(service, set())
