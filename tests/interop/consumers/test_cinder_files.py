"""Cinder with images in files: volumes by a copy, and volumes uploaded as images."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.interop.consumers.cloud import Cloud, Guests
from tests.interop.consumers.conftest import Note
from tests.interop.consumers.traffic import data_calls
from tests.interop.consumers.volumes import Volumes, same_data

MIB, GIB = 1 << 20, 1 << 30


@pytest.fixture(scope="module")
def cloud(cinder_cloud: Cloud) -> Cloud:
    """Users and images; no Nova."""
    return cinder_cloud


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
@pytest.mark.parametrize("kind", ["rbd", "nfs", "loop"])
def test_there_and_back(
    cloud: Cloud, volumes: Volumes, guests: Guests, kind: str, disk_format: str, tmp_path: Path, note: Note
) -> None:
    """Cinder downloads an image into a volume, extends it and uploads it as an image with the same data."""
    images = cloud.images
    image = images.upload(f"{kind}-{disk_format}", guests.converted("alpha", disk_format), disk_format)
    cloud.traffic.news()
    began = time.monotonic()
    volume = volumes.new(f"{kind}-{disk_format}", kind, image)
    copied = time.monotonic() - began
    calls = data_calls(cloud.traffic.news(), image)
    assert [(call.method, call.status) for call in calls] == [("GET", 200)]
    volumes.extend(volume, 2)
    began = time.monotonic()
    uploaded = images.add(volumes.upload(volume, f"of-{kind}-{disk_format}", disk_format))
    shown = images.wait(uploaded)
    volumes.wait(volume)
    seconds = time.monotonic() - began
    assert shown["disk_format"] == disk_format
    assert shown["virtual_size"] == 2 * GIB
    saved, raw = images.save(uploaded, tmp_path / "saved"), tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-f", disk_format, "-O", "raw", str(saved), str(raw)], check=True)
    assert raw.stat().st_size == 2 * GIB
    assert same_data(raw, guests.raw("alpha"))
    volumes.delete(volume)
    images.delete(uploaded)
    note(f"available after {copied:.1f} s; uploaded {shown['size'] // MIB} MiB in {seconds:.1f} s")


def test_image_that_is_gone(cloud: Cloud, volumes: Volumes, guests: Guests, note: Note) -> None:
    """A volume of an image that was deleted is refused."""
    image = cloud.images.upload("gone", guests.raw("alpha"), "raw")
    cloud.images.delete(image)
    fields = {"name": f"{cloud.run}-no", "size": 1, "volume_type": "loop", "imageRef": image}
    answer = cloud.demo.volume("POST", "/volumes", json={"volume": fields})
    assert answer.status_code in {400, 404}, answer.text
    note(f"{answer.status_code}")
