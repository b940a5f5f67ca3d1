"""Servers with disks in the Ceph that has the images: boots by a clone, snapshots by a clone and a location.

The tests of a class follow each other.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.consumers.ceph import Ceph, store_options
from tests.interop.consumers.cloud import Cloud, Guests
from tests.interop.consumers.conftest import Note, Story
from tests.interop.consumers.glimpse_service import ImageService, serve
from tests.interop.consumers.traffic import Call, data_calls, routes

MIB = 1 << 20


@pytest.fixture(scope="module")
def service(ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageService]:
    """Glimpse with its images in Ceph."""
    with serve(tmp_path_factory.mktemp("glimpse"), store_options(ceph), ceph.python_path) as running:
        yield running


@pytest.fixture(scope="module")
def nova(nova_rig: Callable[..., str], service: ImageService) -> str:
    """Nova with disks in Ceph."""
    return nova_rig("--image-url", service.url, "--images-type", "rbd")


@pytest.fixture(scope="module")
def alpha(cloud: Cloud, guests: Guests) -> str:
    """A raw image: only from raw ones disks are cloned."""
    return cloud.images.upload("alpha", guests.raw("alpha"), "raw")


def disk(server: str) -> str:
    """The disk of a server."""
    return f"vms/{server}_disk"


def snap(image: str) -> str:
    """The snapshot of which consumers make clones (store-formats 8.2)."""
    return f"images/{image}@snap"


def no_data(calls: list[Call], image: str) -> None:
    """No byte of the image went through the image service."""
    assert not data_calls(calls, image), routes(calls)


def test_image_in_the_pool(cloud: Cloud, ceph: Ceph, alpha: str, note: Note) -> None:
    """Its location has four parts, and its snapshot is protected."""
    shown = cloud.images.wait(alpha)
    assert [location["url"] for location in shown["locations"]] == [ceph.location(alpha)]
    assert shown["direct_url"] == ceph.location(alpha)
    assert ceph.snapshots(f"images/{alpha}") == [("snap", True)]
    note(f"size {shown['size']}")


def test_boot_by_a_clone(cloud: Cloud, ceph: Ceph, story: Story, alpha: str, note: Note) -> None:
    """The disk is a child of the image's snapshot, and Nova downloads nothing."""
    cloud.traffic.news()
    began = time.monotonic()
    story.server = cloud.servers.boot("vm", alpha)
    seconds = time.monotonic() - began
    calls = cloud.traffic.news()
    no_data(calls, alpha)
    assert ceph.children(snap(alpha)) == [disk(story.server)]
    token = cloud.servers.token(story.server)
    assert (token.boots, token.history) == (1, [story.server])
    assert f"<source protocol='rbd' name='{disk(story.server)}'" in cloud.servers.domain(story.server)
    note(f"ACTIVE after {seconds:.1f} s; {routes(calls)}")


def test_live_snapshot_by_a_clone(cloud: Cloud, ceph: Ceph, story: Story, note: Note) -> None:
    """Nova clones the disk into the pool of images, flattens it and adds its location; it uploads nothing."""
    cloud.traffic.news()
    began = time.monotonic()
    snapshot = cloud.images.add(cloud.servers.snapshot(story.server, f"{cloud.run}-snapshot"))
    shown = cloud.images.wait(snapshot)
    seconds = time.monotonic() - began
    cloud.servers.wait(story.server)
    calls = cloud.traffic.news()
    no_data(calls, snapshot)
    assert [call.status for call in calls if call.path == f"/v2/images/{snapshot}/locations"] == [202]
    assert [location["url"] for location in shown["locations"]] == [ceph.location(snapshot)]
    assert shown["size"] == 1 << 30
    assert (shown["disk_format"], shown["container_format"]) == ("raw", "bare")
    assert ceph.snapshots(f"images/{snapshot}") == [("snap", True)]
    assert not ceph.parent(f"images/{snapshot}")
    assert cloud.servers.token(story.server).boots == 1
    story.snapshot = snapshot
    note(f"active after {seconds:.1f} s; {routes(calls)}")


def test_snapshot_is_hashed_and_served(cloud: Cloud, story: Story, tmp_path: Path, note: Note) -> None:
    """Glimpse reads and hashes what Nova added; afterwards it serves it, with what the guest wrote."""
    assert story.snapshot
    seconds = cloud.images.wait_hashed(story.snapshot)
    saved = cloud.images.save(story.snapshot, tmp_path / "saved")
    assert saved.stat().st_size == 1 << 30
    history = subprocess.run(["mtype", "-i", f"{saved}@@1M", "::history"], capture_output=True, text=True, check=True)
    assert history.stdout.split() == ["1", story.server]
    note(f"hashed {seconds:.0f} s later")


def test_boot_snapshot_by_a_clone(cloud: Cloud, ceph: Ceph, story: Story, note: Note) -> None:
    """A second server whose disk is a clone of the snapshot."""
    assert story.snapshot
    cloud.traffic.news()
    story.second = cloud.servers.boot("second", story.snapshot)
    no_data(cloud.traffic.news(), story.snapshot)
    assert ceph.parent(disk(story.second)) == snap(story.snapshot)
    token = cloud.servers.token(story.second)
    assert (token.boots, token.history) == (2, [story.server, story.second])
    note("two boots")


def test_image_with_a_clone_stays(cloud: Cloud, ceph: Ceph, story: Story, alpha: str, note: Note) -> None:
    """DELETE answers 409, and nothing of the image changes (store-formats 8.4)."""
    assert story.second
    for image in (alpha, story.snapshot):
        text = cloud.images.delete(image, expect=409)
        assert cloud.images.show(image)["status"] == "active"
        assert ceph.snapshots(f"images/{image}") == [("snap", True)]
    cloud.servers.action(story.second, reboot={"type": "HARD"})
    cloud.servers.wait(story.second)
    cloud.servers.token(story.second, boots=3)
    note(f"409: {text}")


def test_cold_snapshot(cloud: Cloud, ceph: Ceph, story: Story, note: Note) -> None:
    """Of a stopped server."""
    servers = cloud.servers
    servers.action(story.second, **{"os-stop": None})
    servers.wait(story.second, "SHUTOFF")
    cloud.traffic.news()
    snapshot = cloud.images.add(servers.snapshot(story.second, f"{cloud.run}-cold"))
    cloud.images.wait(snapshot)
    servers.wait(story.second, "SHUTOFF")
    no_data(cloud.traffic.news(), snapshot)
    assert ceph.snapshots(f"images/{snapshot}") == [("snap", True)]
    cloud.images.delete(snapshot)
    assert snapshot not in ceph.names("images")
    servers.action(story.second, **{"os-start": None})
    servers.wait(story.second)
    note("by a clone; deleted again with its data")


def test_shelve(cloud: Cloud, ceph: Ceph, story: Story, note: Note) -> None:
    """Nova shelves by a clone, boots from it, and deletes the image."""
    servers = cloud.servers
    boots = servers.token(story.second).boots
    cloud.traffic.news()
    servers.action(story.second, shelve=None)
    servers.wait(story.second, "SHELVED_OFFLOADED")
    (image,) = cloud.images.named(f"{cloud.run}-second-shelved")
    cloud.images.wait(cloud.images.add(image))
    servers.action(story.second, unshelve=None)
    servers.wait(story.second)
    servers.token(story.second, boots=boots + 1)
    calls = cloud.traffic.news()
    no_data(calls, image)
    deletions = [call.status for call in calls if call.method == "DELETE" and call.path.endswith(image)]
    note(f"deletions by Nova answered {deletions}; the image answers {cloud.images.status(image)}")


def test_rebuild_and_rescue(cloud: Cloud, ceph: Ceph, story: Story, beta: str, note: Note) -> None:
    """On another image of the cluster."""
    servers = cloud.servers
    servers.action(story.server, 200, rescue={"rescue_image_ref": beta})
    servers.wait(story.server, "RESCUE")
    servers.token(story.server, "beta")
    servers.action(story.server, unrescue=None)
    servers.wait(story.server)
    servers.action(story.server, rebuild={"imageRef": beta})
    servers.wait(story.server)
    token = servers.token(story.server, "beta")
    assert (token.boots, token.history) == (1, [story.server])
    assert ceph.parent(disk(story.server)) == snap(beta)
    note("the rebuilt disk is a clone of the other image")


def test_deletion_after_the_servers(cloud: Cloud, ceph: Ceph, story: Story, alpha: str, beta: str, note: Note) -> None:
    """When the last clone is gone the images can be deleted, and nothing of them stays in the cluster."""
    for server in (story.second, story.server):
        cloud.servers.delete(server)
    for image in (alpha, beta, story.snapshot):
        cloud.images.delete(image)
        assert image not in ceph.names("images")
        assert image not in ceph.trash("images")
    note("204 three times; nothing in the pool, nothing in the trash")


def test_clone_format_2(cloud: Cloud, ceph: Ceph, guests: Guests, note: Note) -> None:
    """With clones of format 2 the image goes to the trash of the pool, and its server lives on (store-formats 8.4)."""
    pools = ("images", "vms")
    for pool in pools:
        ceph.run("rbd", "config", "pool", "set", pool, "rbd_default_clone_format", "2")
    try:
        image = cloud.images.upload("format-2", guests.raw("alpha"), "raw")
        server = cloud.servers.boot("format-2", image)
        cloud.servers.token(server)
        assert ceph.parent(disk(server)) == snap(image)
        cloud.images.delete(image)
        assert cloud.images.status(image) == 404
        assert image not in ceph.names("images")
        assert image in ceph.trash("images")
        cloud.servers.action(server, reboot={"type": "HARD"})
        cloud.servers.wait(server)
        cloud.servers.token(server, boots=2)
        cloud.servers.delete(server)
        ceph.purge_trash("images")
        assert image not in ceph.trash("images")
    finally:
        for pool in pools:
            ceph.run("rbd", "config", "pool", "remove", pool, "rbd_default_clone_format")
    note("204, image in the trash, server reboots; after the server the trash can be purged")


def test_qcow2_is_downloaded(cloud: Cloud, ceph: Ceph, guests: Guests, note: Note) -> None:
    """Disks can be cloned from raw images only: of others Nova downloads the data and imports them."""
    image = cloud.images.upload("qcow2", guests.converted("alpha"))
    cloud.traffic.news()
    server = cloud.servers.boot("qcow2", image)
    calls = data_calls(cloud.traffic.news(), image)
    assert [(call.method, call.status) for call in calls] == [("GET", 200)]
    assert not ceph.parent(disk(server))
    cloud.servers.token(server)
    cloud.servers.delete(server)
    cloud.images.delete(image)
    note(f"{calls[0].sent // MIB} MiB downloaded")
