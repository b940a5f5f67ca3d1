"""After ``kill -9``, the reservations of the dead process's uploads are released (ARCHITECTURE.md, Data safety, rule
4).
"""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.footprint import assert_store_holds, eventually, leases, rows
from tests.support.raw_http import OCTETS, Api, RawConnection
from tests.system.conftest import StartService

QUOTA = 8 << 20
OPTIONS = {
    "DEFAULT": {"user_storage_quota": "8MB"},
    "glimpse": {"lease_time": 2, "lease_heartbeat": 0.2},
}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_dead_process_holds_no_quota(start_service: StartService, chunked: bool) -> None:
    service = start_service(options=OPTIONS)
    api = Api(service.port)
    first, second = api.new(), api.new()
    half = bytes(QUOTA // 2)

    def reserved() -> int:
        return rows(service, "SELECT coalesce(sum(reserved_bytes), 0) FROM glimpse_jobs")[0][0]

    with RawConnection(service.port) as connection:
        size = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": QUOTA}
        connection.head("PUT", f"/v2/images/{first}/file", {**OCTETS, **size})
        if chunked:
            connection.chunk(half)
        else:
            connection.send(half)
        assert eventually(lambda: reserved() >= QUOTA // 4, 20)
        assert api.upload(second, bytes(QUOTA)).status == 413
        holder = int(rows(service, "SELECT claimed_by FROM glimpse_jobs WHERE due_at IS NOT NULL")[0][0].split(":")[1])
        os.kill(holder, signal.SIGKILL)
    assert eventually(lambda: leases(service) == [], 20), service.log
    assert eventually(service.answers, 20)
    assert api.upload(second, bytes(QUOTA)).status == 204
    assert api.show(first)["status"] == "queued"
    assert_store_holds(service, {second})
