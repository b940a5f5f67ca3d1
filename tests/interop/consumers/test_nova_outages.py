"""The image service is killed before a boot and in the middle of a snapshot."""

from __future__ import annotations

import time

from tests.interop.consumers.cloud import Cloud, Guests
from tests.interop.consumers.conftest import Note


def test_down_at_boot(cloud: Cloud, alpha: str, note: Note) -> None:
    """Nova refuses to create a server; when the service is back it boots."""
    cloud.service.kill_group()
    try:
        answer = cloud.servers.create("down", alpha)
    finally:
        cloud.service.start()
    assert answer.status_code >= 400
    server = cloud.servers.boot("up", alpha)
    cloud.servers.token(server)
    cloud.servers.delete(server)
    note(f"while it is down Nova answers {answer.status_code}")


def test_killed_at_a_snapshot(cloud: Cloud, guests: Guests, note: Note) -> None:
    """The server comes back, the image does not stay in saving, the next snapshot works."""
    images, servers = cloud.images, cloud.servers
    server = servers.boot("noise", images.upload("noise", guests.raw("noise", 600, 500), "raw"))
    servers.token(server, "noise")
    snapshot = images.add(servers.snapshot(server, f"{cloud.run}-killed"))
    end = time.monotonic() + 120
    while (status := images.show(snapshot)["status"]) not in {"saving", "active"} and time.monotonic() < end:
        time.sleep(0.02)
    cloud.service.kill_group()
    time.sleep(3)
    cloud.service.start()
    servers.wait(server)
    assert status == "saving"
    seen: list[str] = []
    end = time.monotonic() + 120
    while not {"active", "queued", "gone"} & set(seen):
        now = "gone" if images.status(snapshot) == 404 else images.show(snapshot)["status"]
        if now not in seen:
            seen.append(now)
        assert time.monotonic() < end, f"the image is {seen}"
        time.sleep(1)
    images.wait(images.add(servers.snapshot(server, f"{cloud.run}-after")))
    servers.wait(server)
    servers.delete(server)
    note(f"the image is {' then '.join(seen)}; the next snapshot works")
