"""Cinder's own store: volumes become images by a clone of the volume, and images volumes by a clone of theirs.

Glimpse keeps images in volumes of Cinder (store-formats 9). Cinder has ``image_upload_use_cinder_backend``: instead of
the data it sends the location of a volume that it cloned. The tests of a backend follow each other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.consumers.cloud import Cloud, Guests, make_cloud
from tests.interop.consumers.conftest import Note, Story
from tests.interop.consumers.glimpse_service import ImageService, serve
from tests.interop.consumers.rigs import rig_environment, rig_runs, run_rig
from tests.interop.consumers.traffic import data_calls, routes
from tests.interop.consumers.volumes import Volumes, same_data

GIB = 1 << 30
STORE = "volumes"
CINDER_LINES = """
[backend_defaults]
image_upload_use_cinder_backend = true
image_upload_use_internal_tenant = true
"""


def store_options(kind: str) -> dict[str, dict[str, object]]:
    """Images in volumes of this volume type, which belong to the project of the service."""
    return {
        "DEFAULT": {
            "enabled_backends": f"{STORE}:cinder,files:file",
            "show_multiple_locations": True,
            "show_image_direct_url": True,
        },
        "glance_store": {"default_backend": STORE},
        STORE: {
            "cinder_store_auth_address": os.environ["GLIMPSE_TEST_KEYSTONE_URL"],
            "cinder_store_user_name": "cinder",
            "cinder_store_password": os.environ.get("GLIMPSE_TEST_KEYSTONE_PASSWORD") or "secret",
            "cinder_store_project_name": "service",
            "cinder_volume_type": kind,
            "rootwrap_config": rig_environment("cinder")["RIG_CINDER_ROOT_HELPER"],
        },
    }


@pytest.fixture(scope="module", params=["rbd", "loop"])
def kind(request: pytest.FixtureRequest) -> str:
    """The volume type."""
    return request.param


@pytest.fixture(scope="module")
def service(
    kind: str, cinder_rig: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImageService]:
    """Glimpse with its images in volumes. Its settings need Cinder's."""
    if not rig_runs("cinder"):
        run_rig("cinder-up")
    librbd = rig_environment("ceph")["RIG_CEPH_PYTHONPATH"]
    with serve(tmp_path_factory.mktemp("glimpse"), store_options(kind), librbd) as running:
        yield running


@pytest.fixture(scope="module")
def cloud(
    kind: str, service: ImageService, cinder_rig: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """Users and images; Cinder writes its own store, and knows from the volume type which store of Glimpse that is."""
    cinder_rig(service.url, CINDER_LINES)
    made = make_cloud(service, tmp_path_factory.mktemp("cloud"))
    types = made.admin.volume("GET", "/types", expect=200).json()["volume_types"]
    (type_id,) = (found["id"] for found in types if found["name"] == kind)
    extra = {"extra_specs": {"image_service:store_id": STORE}}
    made.admin.volume("POST", f"/types/{type_id}/extra_specs", json=extra, expect=200)
    yield made
    made.clean()
    made.admin.volume("DELETE", f"/types/{type_id}/extra_specs/image_service:store_id", expect=202)


@pytest.fixture(scope="module")
def source(cloud: Cloud, volumes: Volumes, guests: Guests, kind: str) -> str:
    """A volume with the data of an image in files."""
    image = cloud.images.new("alpha", "raw")
    headers = {"Content-Type": "application/octet-stream", "X-Image-Meta-Store": "files"}
    with guests.raw("alpha").open("rb") as data:
        cloud.demo.image("PUT", f"/images/{image}/file", data=data, headers=headers, expect=204)
    return volumes.new("source", kind, image)


@pytest.fixture(scope="module")
def story(kind: str) -> Story:
    return Story()


def locations(cloud: Cloud, image: str) -> list[dict[str, Any]]:
    """What an administrator sees of the image's locations."""
    return cloud.admin.image("GET", f"/images/{image}/locations", expect=200).json()


def test_volume_becomes_an_image(cloud: Cloud, volumes: Volumes, story: Story, source: str, note: Note) -> None:
    """Cinder clones the volume for its internal project and adds its location; it uploads nothing."""
    cloud.traffic.news()
    began = time.monotonic()
    image = cloud.images.add(volumes.upload(source, "by-location", "raw"))
    shown = cloud.images.wait(image)
    seconds = time.monotonic() - began
    volumes.wait(source)
    calls = cloud.traffic.news()
    assert not data_calls(calls, image), routes(calls)
    assert [call.status for call in calls if call.route == "POST /v2/images/{id}/locations"] == [202]
    (location,) = locations(cloud, image)
    start, _, volume = location["url"].rpartition("/")
    assert start == f"cinder://{STORE}"
    assert volume not in {source}
    assert shown["size"] == GIB
    metadata = volumes.show(volume)["metadata"]
    assert (metadata["glance_image_id"], metadata["image_owner"]) == (image, cloud.demo.project_id)
    story.image, story.image_volume = image, volume
    note(f"active after {seconds:.1f} s; {routes(calls)}")


def test_glimpse_serves_it(cloud: Cloud, story: Story, guests: Guests, tmp_path: Path, note: Note) -> None:
    """After the check (imports-and-stores 5.6) it has a digest, and the data of the volume."""
    assert story.image
    seconds = cloud.images.wait_hashed(story.image)
    assert same_data(cloud.images.save(story.image, tmp_path / "saved"), guests.raw("alpha"))
    note(f"hashed {seconds:.0f} s later")


def test_volume_by_a_clone(cloud: Cloud, volumes: Volumes, story: Story, kind: str, note: Note) -> None:
    """A new volume is a clone of the image's volume; Cinder downloads nothing."""
    assert story.image
    cloud.traffic.news()
    began = time.monotonic()
    volume = volumes.new("clone", kind, story.image)
    seconds = time.monotonic() - began
    calls = cloud.traffic.news()
    assert not data_calls(calls, story.image), routes(calls)
    volumes.delete(volume)
    note(f"available after {seconds:.1f} s")


def test_deletion(cloud: Cloud, volumes: Volumes, story: Story, note: Note) -> None:
    """With the image its volume is deleted."""
    assert story.image
    cloud.images.delete(story.image)
    end = time.monotonic() + 60
    while story.image_volume in volumes.all_ids():
        assert time.monotonic() < end, volumes.show(story.image_volume)["status"]
        time.sleep(1)
    note("the volume is gone")


def test_uploaded_image_becomes_a_volume(cloud: Cloud, volumes: Volumes, guests: Guests, kind: str, note: Note) -> None:
    """Of an image that Glimpse wrote into a volume Cinder clones that volume, too."""
    image = cloud.images.upload("uploaded", guests.raw("alpha"), "raw")
    cloud.traffic.news()
    began = time.monotonic()
    volume = volumes.new("of-uploaded", kind, image)
    seconds = time.monotonic() - began
    calls = cloud.traffic.news()
    assert not data_calls(calls, image), routes(calls)
    volumes.delete(volume)
    cloud.images.delete(image)
    note(f"available after {seconds:.1f} s")
