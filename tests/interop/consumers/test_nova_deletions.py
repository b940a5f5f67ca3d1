"""Images and servers that are deleted while Nova uses them or makes a snapshot."""

from __future__ import annotations

import time

import pytest

from tests.interop.consumers.cloud import Cloud, Guests
from tests.interop.consumers.conftest import Note


def test_image_in_use(cloud: Cloud, guests: Guests, note: Note) -> None:
    """The server reboots, and its snapshot has the inherited properties; a rebuild is refused."""
    images, servers = cloud.images, cloud.servers
    image = images.upload("deleted", guests.converted("alpha"), note="kept")
    server = servers.boot("orphan", image)
    servers.token(server)
    images.delete(image)
    assert images.status(image) == 404
    servers.action(server, reboot={"type": "HARD"})
    servers.wait(server)
    servers.token(server, boots=2)
    shown = images.wait(images.add(servers.snapshot(server, f"{cloud.run}-of-deleted")))
    servers.wait(server)
    assert (shown["base_image_ref"], shown["note"]) == (image, "kept")
    answer = cloud.demo.compute("POST", f"/servers/{server}/action", json={"rebuild": {"imageRef": image}})
    assert answer.status_code == 400, answer.text
    servers.delete(server)
    note("reboots; snapshot works; rebuild answers 400")


@pytest.fixture(scope="module")
def server(cloud: Cloud, alpha: str) -> str:
    """A server of which snapshots are made that nobody needs."""
    made = cloud.servers.boot("vanish", alpha)
    cloud.servers.token(made)
    return made


def test_snapshot_while_it_is_made(cloud: Cloud, server: str, note: Note) -> None:
    """The server is ACTIVE again."""
    snapshot = cloud.servers.snapshot(server, f"{cloud.run}-vanish")
    cloud.images.delete(snapshot)
    cloud.servers.wait(server)
    assert cloud.images.status(snapshot) == 404
    note("the server is ACTIVE")


def test_server_while_its_snapshot_is_made(cloud: Cloud, server: str, note: Note) -> None:
    """Nova deletes the image, unless it was ready before."""
    snapshot = cloud.images.add(cloud.servers.snapshot(server, f"{cloud.run}-cancelled"))
    cloud.demo.compute("DELETE", f"/servers/{server}", expect=204)
    cloud.servers.wait_gone(server)
    end = time.monotonic() + 60
    while (status := cloud.images.status(snapshot)) != 404 and cloud.images.show(snapshot)["status"] != "active":
        assert time.monotonic() < end, f"the image is {cloud.images.show(snapshot)['status']}"
        time.sleep(1)
    note("the image is gone" if status == 404 else "the image is active: the upload was faster")
