"""Cinder with volumes in the Ceph that has the images: volumes by a clone, or by a copy; volumes uploaded as images.

The tests follow each other.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.consumers.ceph import Ceph, store_options
from tests.interop.consumers.cloud import Cloud, Guests
from tests.interop.consumers.conftest import Note, Story
from tests.interop.consumers.glimpse_service import ImageService, merged, serve
from tests.interop.consumers.traffic import data_calls, routes
from tests.interop.consumers.volumes import Volumes, same_data
from tests.interop.keystone_rig import keystone_rig

MIB, GIB = 1 << 20, 1 << 30
LOGIN = ("auth_type", "auth_url", "username", "password", "project_name", "user_domain_id", "project_domain_id")


@pytest.fixture(scope="module")
def service(ceph: Ceph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageService]:
    """Glimpse with its images in Ceph, whose locations only services see."""
    hidden = {"DEFAULT": {"show_multiple_locations": False, "show_image_direct_url": False}}
    options = merged(store_options(ceph), hidden)
    with serve(tmp_path_factory.mktemp("glimpse"), options, ceph.python_path) as running:
        yield running


@pytest.fixture(scope="module")
def cinder_lines() -> str:
    """Cinder asks for locations as a user of its own, which has the roles service and admin."""
    login = keystone_rig().options(username="cinder")
    return "\n".join(["[glance]", *(f"{name} = {login[name]}" for name in LOGIN)])


@pytest.fixture(scope="module")
def cloud(cinder_cloud: Cloud) -> Cloud:
    """Users and images; no Nova."""
    return cinder_cloud


@pytest.fixture(scope="module")
def alpha(cloud: Cloud, guests: Guests) -> str:
    """A raw image."""
    return cloud.images.upload("alpha", guests.raw("alpha"), "raw")


def rbd_name(volume: str) -> str:
    """The image of RBD that is a volume."""
    return f"volumes/volume-{volume}"


def test_volume_by_a_clone(cloud: Cloud, ceph: Ceph, volumes: Volumes, story: Story, alpha: str, note: Note) -> None:
    """The volume is a child of the image's snapshot, and Cinder downloads nothing."""
    cloud.traffic.news()
    began = time.monotonic()
    story.volume = volumes.new("clone", "rbd", alpha)
    seconds = time.monotonic() - began
    calls = cloud.traffic.news()
    assert not data_calls(calls, alpha), routes(calls)
    assert [call.status for call in calls if call.path == f"/v2/images/{alpha}/locations"] == [200]
    assert ceph.parent(rbd_name(story.volume)) == f"images/{alpha}@snap"
    shown = volumes.show(story.volume)
    assert (shown["bootable"], shown["volume_image_metadata"]["image_id"]) == ("true", alpha)
    note(f"available after {seconds:.1f} s; {routes(calls)}")


def test_image_with_a_volume_stays(cloud: Cloud, ceph: Ceph, story: Story, alpha: str, note: Note) -> None:
    """DELETE answers 409 (store-formats 8.4)."""
    assert story.volume
    text = cloud.images.delete(alpha, expect=409)
    assert ceph.snapshots(f"images/{alpha}") == [("snap", True)]
    note(text)


def test_extend(cloud: Cloud, ceph: Ceph, volumes: Volumes, story: Story, note: Note) -> None:
    """A cloned volume grows."""
    volumes.extend(story.volume, 2)
    assert ceph.rbd("info", rbd_name(story.volume))["size"] == 2 * GIB
    note("2 GiB")


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_upload_volume(
    cloud: Cloud,
    ceph: Ceph,
    volumes: Volumes,
    story: Story,
    guests: Guests,
    disk_format: str,
    tmp_path: Path,
    note: Note,
) -> None:
    """Cinder reads the volume, converts it, and uploads it as an image."""
    assert story.volume
    began = time.monotonic()
    image = cloud.images.add(volumes.upload(story.volume, f"of-volume-{disk_format}", disk_format))
    shown = cloud.images.wait(image)
    volumes.wait(story.volume)
    seconds = time.monotonic() - began
    assert shown["disk_format"] == disk_format
    assert shown["os_hash_value"]
    assert ceph.snapshots(f"images/{image}") == [("snap", True)]
    saved, raw = cloud.images.save(image, tmp_path / "saved"), tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-f", disk_format, "-O", "raw", str(saved), str(raw)], check=True)
    assert raw.stat().st_size == 2 * GIB
    assert same_data(raw, guests.raw("alpha"))
    note(f"{shown['size'] // MIB} MiB, active after {seconds:.0f} s")


def test_qcow2_is_converted(cloud: Cloud, ceph: Ceph, volumes: Volumes, guests: Guests, note: Note) -> None:
    """Volumes can be cloned from raw images only: of others Cinder downloads the data and converts them."""
    image = cloud.images.upload("qcow2", guests.converted("alpha"))
    cloud.traffic.news()
    volume = volumes.new("qcow2", "rbd", image)
    calls = data_calls(cloud.traffic.news(), image)
    assert [(call.method, call.status) for call in calls] == [("GET", 200)]
    assert not ceph.parent(rbd_name(volume))
    volumes.delete(volume)
    note("downloaded")


def test_deletion_after_the_volume(
    cloud: Cloud, ceph: Ceph, volumes: Volumes, story: Story, alpha: str, note: Note
) -> None:
    """Without clones the image goes, and nothing of it stays in the cluster."""
    volumes.delete(story.volume)
    cloud.images.delete(alpha)
    assert alpha not in ceph.names("images")
    assert alpha not in ceph.trash("images")
    note("204")
