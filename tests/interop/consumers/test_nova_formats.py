"""Disk formats as Nova sees them, images cached ahead, and Nova's own API of images."""

from __future__ import annotations

import datetime
import hashlib
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from requests import Response

from tests.interop.consumers.cloud import Cloud, Guests
from tests.interop.consumers.conftest import Note
from tests.interop.consumers.rigs import rig_dir


@pytest.mark.parametrize("lie", ["qcow2 as raw", "backing file"])
def test_lying_format(cloud: Cloud, guests: Guests, lie: str, tmp_path: Path, note: Note) -> None:
    """A file unlike its declared format, and one with a backing file: refused by the image service or by Nova."""
    path, disk_format = guests.converted("alpha"), "raw"
    if lie == "backing file":
        path, disk_format = tmp_path / "backing.qcow2", "qcow2"
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(guests.raw("alpha")), str(path)]
        subprocess.run(create, check=True)
    image = cloud.images.new("lie", disk_format)
    octets = {"Content-Type": "application/octet-stream"}
    with path.open("rb") as data:
        answer = cloud.demo.image("PUT", f"/images/{image}/file", data=data, headers=octets)
    if answer.status_code == 204:
        note(f"uploaded; Nova: {cloud.servers.fails(cloud.servers.start('lie', image))}")
    else:
        assert answer.status_code == 415, answer.text
        note("upload refused: 415")


@pytest.mark.parametrize(
    ("disk_format", "options"), [("vmdk", ("-o", "subformat=streamOptimized")), ("vdi", ()), ("vhdx", ())]
)
def test_other_formats(cloud: Cloud, guests: Guests, disk_format: str, options: tuple[str, ...], note: Note) -> None:
    """Nova converts them."""
    image = cloud.images.upload(disk_format, guests.converted("alpha", disk_format, *options), disk_format)
    server = cloud.servers.boot(disk_format, image)
    cloud.servers.token(server)
    cloud.servers.delete(server)
    note("boots")


def test_image_cached_ahead(cloud: Cloud, guests: Guests, note: Note) -> None:
    """The compute node downloads an image for an aggregate."""
    image = cloud.images.upload("precache", guests.converted("beta"), visibility="community")
    fields = {"name": f"{cloud.run}-aggregate"}
    made = cloud.admin.compute("POST", "/os-aggregates", json={"aggregate": fields}, expect=200).json()["aggregate"]
    path = f"/os-aggregates/{made['id']}"
    cloud.admin.compute("POST", f"{path}/action", json={"add_host": {"host": "rig"}}, expect=200)
    try:
        cloud.admin.compute("POST", f"{path}/images", json={"cache": [{"id": image}]}, expect=202)
        cached = rig_dir() / "nova" / "instances" / "_base" / hashlib.sha1(image.encode()).hexdigest()
        end = time.monotonic() + 60
        while not cached.exists():
            assert time.monotonic() < end, "not in the cache of the compute node"
            time.sleep(1)
    finally:
        cloud.admin.compute("POST", f"{path}/action", json={"remove_host": {"host": "rig"}}, expect=200)
        cloud.admin.compute("DELETE", path, expect=200)
    note("in the cache of the compute node")


def test_images_of_nova(cloud: Cloud, guests: Guests, note: Note) -> None:
    """``/images`` of the compute API: lists with filters, show, metadata, delete."""
    image = cloud.images.upload("proxy", guests.converted("alpha"), one="1")

    def call(method: str, path: str, expect: int = 200, **more: Any) -> Response:
        return cloud.demo.compute(method, f"/images{path}", version="compute 2.1", expect=expect, **more)

    def ids(path: str) -> list[str]:
        return [found["id"] for found in call("GET", path).json()["images"]]

    page = call("GET", "/detail?limit=2").json()
    assert len(page["images"]) <= 2
    assert ids(f"/detail?name={cloud.run}-proxy") == [image]
    assert image not in ids("?status=ACTIVE&type=snapshot")
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=2)
    assert image in ids(f"/detail?changes-since={since:%Y-%m-%dT%H:%M:%SZ}")
    call("GET", "/detail?minDisk=1&minRam=1")
    shown = call("GET", f"/{image}").json()["image"]
    assert (shown["metadata"]["one"], shown["status"]) == ("1", "ACTIVE")
    call("POST", f"/{image}/metadata", json={"metadata": {"two": "2"}})
    call("PUT", f"/{image}/metadata/three", json={"meta": {"three": "3"}})
    assert {"one", "two", "three"} <= cloud.images.show(image).keys()
    call("PUT", f"/{image}/metadata", json={"metadata": {"four": "4"}})
    properties = cloud.images.show(image).keys()
    assert "four" in properties
    assert not {"one", "two", "three"} & properties
    call("DELETE", f"/{image}/metadata/four", 204)
    call("DELETE", f"/{image}", 204)
    call("GET", f"/{image}", 404)
    note("lists, show, metadata, delete")
